"""Statistics under Transformer Engine's names, recomputed from their definitions; its logs."""

import math

import pytest
import torch

import fp8core as fp8
from fp8core.te_statistics import LogEntry, blockwise_dynamic_range, read_log, te_statistics


def test_statistics_are_as_defined():
    x = torch.randn(64, 100, generator=torch.Generator().manual_seed(0)) * torch.logspace(-6, 0, 100)
    x[3, 5] = 0
    q = fp8.quantize(x, "tensor_e4m3")
    found = te_statistics(x, q)
    wide, y = x.double(), q.dequantize().double()
    nonzero = wide[wide != 0].abs()
    assert found["dynamic_range"] == pytest.approx(math.log2(nonzero.max() / nonzero.min()))
    assert found["std"] == pytest.approx(float(wide.std()))
    assert found["l2_norm"] == pytest.approx(float(wide.norm()))
    assert found["underflows%"] == pytest.approx(100 * float((q.codes == 0).float().mean()))
    assert found["underflows%"] > 100 * fp8.measure(x, q).underflow / 2
    assert found["mse"] == pytest.approx(float((wide - y).square().mean()))
    assert found["scale_inv_min"] == found["scale_inv_max"] == q.scale.item()
    assert found["overflows%"] <= 100 / x.numel()  # 448 times the rounded scale can lie just below amax
    assert te_statistics(x, fp8.quantize(x, "tensor_e4m3", amax=0.5))["overflows%"] == pytest.approx(100 * float((wide.abs() > 448 * fp8.quantize(x, "tensor_e4m3", amax=0.5).scale.item()).double().mean()))
    blocks = te_statistics(x, fp8.quantize(x, "mxfp8_e4m3"))
    assert blocks["scale_inv_std"] > 0


def test_the_range_of_blocks():
    x = torch.ones(4, 70)
    x[2, 64], x[2, 65] = 2.0**-10, 0.0
    assert blockwise_dynamic_range(x) == 10.0
    assert blockwise_dynamic_range(torch.zeros(2, 8)) == 0.0
    assert blockwise_dynamic_range(torch.tensor([[1.0, 0.5, 8.0, 4.0]]), 2) == 1.0
    with pytest.raises(ValueError, match=r"\(0,\)"):
        te_statistics([])
    with pytest.raises(ValueError, match="finite"):
        te_statistics([math.inf])


def test_logs():
    text = """INFO - Default logging to file enabled
INFO - transformer_layer.self_attention.layernorm_qkv_activation_max                 iteration=000002                  value=4.3188
INFO - decoder.1.mlp.fc1_weight_mxfp8_underflows%   iteration=000010 value=1.5e-2
INFO - gradient_block.fc2_gradient_dynamic_range iteration=10 value=nan
INFO - odd_std iteration=3 value=0.1
INFO - broken_activation_max iteration=3 value=x
"""
    found = read_log(text.splitlines())
    assert found[:2] == [
        LogEntry("transformer_layer.self_attention.layernorm_qkv", "activation", "max", 2, 4.3188),
        LogEntry("decoder.1.mlp.fc1", "weight", "mxfp8_underflows%", 10, 0.015),
    ]
    assert (found[2].layer, found[2].tensor, found[2].statistic) == ("gradient_block.fc2", "gradient", "dynamic_range")
    assert found[3] == LogEntry("odd", "", "std", 3, 0.1)
    assert len(found) == 4
    with pytest.raises(ValueError, match="no line here"):
        read_log(["hello"])
    with pytest.raises(ValueError, match="more than 1 lines"):
        read_log(text.splitlines(), most=1)
