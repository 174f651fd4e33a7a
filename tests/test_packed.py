"""Checkpoints that are quantized already: their weights come out as the projects that wrote them read them."""

import pytest
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.compressors.format import infer_module_format
from compressed_tensors.quantization import QuantizationScheme, preset_name_to_scheme
from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam
from safetensors.torch import save_file

import fp8core as fp8
from fp8core.checkpoints import open_checkpoint
from fp8core.layers import analyze
from fp8core.packed import decoded, packed_layers


def weight(*shape, seed=0):
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return x * torch.logspace(-3, 2, shape[-1])


def opened(path, **tensors):
    save_file({name: x.contiguous() for name, x in tensors.items()}, path / "model.safetensors")
    return open_checkpoint(path / "model.safetensors")


def grouped_amax(x, side):
    return x.unflatten(-1, (-1, side)).abs().amax(-1)


@pytest.mark.parametrize("preset", ["NVFP4", "MXFP4", "MXFP6A16", "MXFP8", "W4A16", "INT8", "FP8_DYNAMIC", "FP8_BLOCK", "FP8"])
def test_what_compressed_tensors_writes_comes_out_as_it_reads_it(tmp_path, preset):
    scheme: QuantizationScheme = preset_name_to_scheme(preset, ["Linear"])
    x, args = weight(256, 384), scheme.weights
    top = {
        "block": lambda: x.unflatten(0, (-1, 128)).unflatten(2, (-1, 128)).abs().amax((1, 3)),
        "tensor": lambda: x.abs().amax().reshape(1, 1),
        "channel": lambda: x.abs().amax(1, keepdim=True),
    }.get(args.strategy, lambda: grouped_amax(x, args.group_size))()
    g = generate_gparam(x.min(), x.max()) if args.strategy == "tensor_group" else None
    scale, zero = calculate_qparams(-top, top, args, global_scale=g)
    state = {"weight": x, "weight_scale": scale.reshape(top.shape), "weight_zero_point": zero} | ({} if g is None else {"weight_global_scale": g})
    compressor = BaseCompressor.get_value_from_registry(infer_module_format(torch.nn.Linear, scheme).value)
    stored = compressor.compress(state, scheme)
    theirs = compressor.decompress(stored, scheme)["weight"]
    checkpoint = opened(tmp_path, **{f"layer.{name}": each for name, each in stored.items() if isinstance(each, torch.Tensor)})
    ours = decoded(checkpoint)
    assert list(ours.infos) == ["layer.weight"]
    assert ours.infos["layer.weight"].shape == (256, 384)
    assert ours.nbytes == checkpoint.nbytes
    got = ours.read("layer.weight")
    if theirs.dtype == torch.float32:
        assert torch.equal(got, theirs)
    else:
        assert torch.equal(got.to(theirs.dtype), theirs)
    assert torch.equal(ours.read("layer.weight", slice(128, 256)), got[128:])


@pytest.mark.parametrize(("shape", "block"), [((256, 384), (128, 128)), ((200, 300), (128, 128)), ((64, 512), (1, 128)), ((48, 64), (None, None)), ((48, 64), (1, None))])
@pytest.mark.parametrize("dtype", ["float32", "e8m0fnu"])
@pytest.mark.parametrize("ending", ["weight_scale_inv", "weight_scale", "scale"])
def test_fp8_with_a_scale_beside_it(tmp_path, shape, block, dtype, ending):
    rule = "amax" if dtype == "float32" else "rceil"
    q = fp8.quantize(weight(*shape), "e4m3fn", fp8.ScaleSpec(block, rule, dtype))
    scale = q.scale if dtype == "float32" else q.scale_codes.view(torch.float8_e8m0fnu)
    checkpoint = opened(tmp_path, **{"a.weight": q.codes.view(torch.float8_e4m3fn), f"a.{ending}": scale.reshape(-1, scale.shape[-1]), "a.bias": torch.ones(3)})
    ours = decoded(checkpoint)
    assert list(ours.infos) == ["a.bias", "a.weight"] or list(ours.infos) == ["a.weight", "a.bias"]
    assert torch.equal(ours.read("a.weight"), q.dequantize())
    assert packed_layers(checkpoint)["a.weight"].block == tuple(side if side is None or side < length else length for side, length in zip(block, shape, strict=True))
    (layer,) = (each for each in analyze(ours, [f"e4m3fn:{q.recipe.scaling.granularity}:{rule}:{dtype}"]) if each.errors)
    assert next(iter(layer.errors.values())).sqnr_db > 100 or rule == "amax"  # powers of two come out as they went in
    assert layer.dtype.startswith("E4M3FN")
    assert layer.nbytes == sum(info.nbytes for name, info in checkpoint.infos.items() if name != "a.bias")


def test_gpt_oss_stacks_of_experts(tmp_path):
    q = fp8.quantize(weight(4, 96, 128), "mxfp4")
    blocks = fp8.pack(q.codes, 4).reshape(4, 96, 4, 16)
    checkpoint = opened(tmp_path, **{"mlp.experts.down_proj_blocks": blocks, "mlp.experts.down_proj_scales": q.scale_codes.reshape(4, 96, 4)})
    ours = decoded(checkpoint)
    assert ours.infos["mlp.experts.down_proj"].stored_as == "MXFP4, packed"
    assert torch.equal(ours.read("mlp.experts.down_proj"), q.dequantize())
    assert torch.equal(ours.read("mlp.experts.down_proj", slice(1, 3)), q.dequantize()[1:3])


def test_stacks_of_fp8_matrices(tmp_path):
    x = weight(3, 256, 128)
    q = fp8.quantize(x, "deepseek_v3_128x128")
    ours = decoded(opened(tmp_path, **{"experts.weight": q.codes.view(torch.float8_e4m3fn), "experts.weight_scale_inv": q.scale.reshape(3, 2, 1)}))
    assert torch.equal(ours.read("experts.weight"), q.dequantize())
    assert torch.equal(ours.read("experts.weight", slice(1, 2)), q.dequantize()[1:2])


def test_model_optimizer_nvfp4(tmp_path):
    q = fp8.quantize(weight(64, 128), "modelopt_nvfp4")
    stored = {"a.weight": fp8.pack(q.codes, 4).reshape(64, 64), "a.weight_scale": q.scale_codes.view(torch.float8_e4m3fn), "a.weight_scale_2": q.global_scale.reshape(())}
    ours = decoded(opened(tmp_path, **stored))
    assert ours.infos["a.weight"].stored_as == "NVFP4, packed"
    assert torch.equal(ours.read("a.weight"), q.dequantize())


def test_rows_within_a_block_are_refused(tmp_path):
    q = fp8.quantize(weight(256, 128), "deepseek_v3_128x128")
    ours = decoded(opened(tmp_path, **{"a.weight": q.codes.view(torch.float8_e4m3fn), "a.weight_scale_inv": q.scale}))
    with pytest.raises(ValueError, match="begin within a block of 128 rows"):
        ours.read("a.weight", slice(64, 128))


def test_what_is_not_understood_stays_as_it_is(tmp_path):
    tensors = {
        "a.weight": torch.ones(4, 8, dtype=torch.int8), "a.weight_scale": torch.ones(4, 1), "a.weight_zero_point": torch.ones(4, 1, dtype=torch.int8),
        "b.weight": torch.ones(4, 8).to(torch.float8_e4m3fn), "b.weight_scale": torch.ones(3, 5),
        "c.weight": torch.ones(4, 8).to(torch.float8_e4m3fn),
        "d.weight": torch.ones(4, 8, dtype=torch.uint8), "d.weight_scale": torch.ones(4, 3, dtype=torch.uint8),
        "e.weight": torch.ones(4, 8),
    }  # fmt: skip
    checkpoint = opened(tmp_path, **tensors)
    assert not packed_layers(checkpoint)
    assert decoded(checkpoint).infos == checkpoint.infos
    assert torch.equal(decoded(checkpoint).read("e.weight"), tensors["e.weight"])
