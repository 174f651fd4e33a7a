"""Folders of shards: what safetensors wrote in several files reads as if it were one; an index that lies is refused with one sentence."""

import json

import fsspec
import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors.torch import save, save_file

from fp8core.checkpoints import CheckpointError, open_checkpoint
from fp8core.checkpoints.folder import INDEX_SUFFIX
from fp8core.layers import analyze, to_rows

TENSORS = {f"layers.{n}.weight": torch.randn(8, 64, generator=torch.Generator().manual_seed(n)).to(dtype) for n, dtype in enumerate((torch.float32, torch.bfloat16, torch.float16))}
SHARDS = {"model-00001-of-00002.safetensors": ("layers.0.weight", "layers.1.weight"), "model-00002-of-00002.safetensors": ("layers.2.weight",)}
PLACES = {name: shard for shard, names in SHARDS.items() for name in names}


@pytest.fixture
def folder(tmp_path):
    """A checkpoint of two shards and no index."""
    path = tmp_path / "my-model"
    path.mkdir()
    for shard, names in SHARDS.items():
        safetensors.torch.save_file({name: TENSORS[name] for name in names}, path / shard)
    (path / "config.json").write_text("{}")
    return path


def write_index(folder, places=PLACES, name=f"model{INDEX_SUFFIX}"):
    content = places if isinstance(places, str) else json.dumps({"metadata": {"total_size": 1}, "weight_map": places})
    (folder / name).write_text(content)
    return folder / name


@pytest.mark.parametrize("how", ["folder", "folder as text", "folder with an index", "index"])
def test_shards_read_as_one(folder, how):
    index = write_index(folder) if "index" in how else None
    checkpoint = open_checkpoint(index if how == "index" else str(folder) if how == "folder as text" else folder)
    assert checkpoint.filename == ("my-model" if how != "index" else index.name)
    assert list(checkpoint.infos) == list(TENSORS)
    assert checkpoint.nbytes == sum(x.nbytes for x in TENSORS.values())
    for name, x in TENSORS.items():
        read = checkpoint.read(name)
        assert read.dtype == x.dtype and torch.equal(read, x)


def test_analysis_of_a_folder_is_that_of_one_file(folder, tmp_path):
    safetensors.torch.save_file(TENSORS, tmp_path / "whole.safetensors")
    rows = [to_rows(sorted(analyze(open_checkpoint(path), ["tensor_e4m3", "mxfp4"]), key=lambda layer: layer.name)) for path in (folder, tmp_path / "whole.safetensors")]
    assert rows[0] == rows[1] and len(rows[0]) == 2 * len(TENSORS)


def test_the_index_decides_between_copies(folder):
    other = {"layers.0.weight": torch.zeros(2, 2)}
    safetensors.torch.save_file(other, folder / "consolidated.safetensors")
    with pytest.raises(CheckpointError, match=r"my-model: tensor 'layers\.0\.weight' is in consolidated\.safetensors and in model-00001-of-00002\.safetensors"):
        open_checkpoint(folder)
    write_index(folder)
    assert torch.equal(open_checkpoint(folder).read("layers.0.weight"), TENSORS["layers.0.weight"])
    write_index(folder, {**PLACES, "layers.0.weight": "consolidated.safetensors"})
    assert torch.equal(open_checkpoint(folder).read("layers.0.weight"), other["layers.0.weight"])


@pytest.mark.parametrize(
    "places, rule",
    [
        ("{", "it is not the JSON that an index has"),
        ("[" * 100_000, "it is not the JSON that an index has"),
        ("[]", "it has no weight_map"),
        ('{"weight_map": {}}', "it has no weight_map"),
        ({"a": "../model.safetensors"}, "tensor 'a' is said to be in '../model.safetensors'"),
        ({"a": "/etc/model.safetensors"}, "beside the index"),
        ({"a": "..\\\\model.safetensors"}, "beside the index"),
        ({"a": "model\0.safetensors"}, "beside the index"),
        ({"a": "model.bin"}, "tensor 'a' is said to be in 'model.bin'"),
        ({"a": 3}, "tensor 'a' is said to be in 3"),
        ({"a": "absent.safetensors"}, "absent.safetensors: it cannot be read"),
        ({**PLACES, "extra": "model-00002-of-00002.safetensors"}, "the index has tensor 'extra' in model-00002-of-00002.safetensors, and that file does not hold it"),
    ],
)
def test_an_index_that_lies_is_refused(folder, places, rule):
    write_index(folder, places)
    with pytest.raises(CheckpointError) as refusal:
        open_checkpoint(folder)
    assert rule in str(refusal.value) and "\n" not in str(refusal.value)


def test_folders_that_say_too_little_or_too_much(folder, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(CheckpointError, match=r"empty: the folder holds no \.safetensors file"):
        open_checkpoint(empty)
    with pytest.raises(CheckpointError, match="cannot be read"):
        open_checkpoint(tmp_path / f"absent{INDEX_SUFFIX}")
    write_index(folder)
    second = write_index(folder, name=f"model.fp16{INDEX_SUFFIX}")
    with pytest.raises(CheckpointError, match="the folder holds 2 indexes"):
        open_checkpoint(folder)
    assert list(open_checkpoint(second).infos) == list(TENSORS)


def test_the_limit_is_that_of_all_shards(folder):
    nbytes = sum(x.nbytes for x in TENSORS.values())
    assert open_checkpoint(folder, max_nbytes=nbytes).nbytes == nbytes
    with pytest.raises(CheckpointError, match=f"my-model: its tensors take {nbytes:,} bytes, and at most {nbytes - 1:,} are allowed here"):
        open_checkpoint(folder, max_nbytes=nbytes - 1)


def test_a_shard_that_is_cut_off_is_named(folder):
    shard = folder / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"model-00002-of-00002\.safetensors: "):
        open_checkpoint(folder)


def test_some_rows_are_those_of_the_whole(tmp_path):
    x = torch.randn(7, 3, 2)
    save_file({"first": torch.ones(5), "x": x}, tmp_path / "x.safetensors")
    np.save(tmp_path / "c.npy", x.numpy())
    np.save(tmp_path / "fortran.npy", np.asfortranarray(x.numpy()))
    np.savez(tmp_path / "x.npz", x=x.numpy())
    for name, key in (("x.safetensors", "x"), ("c.npy", "c"), ("fortran.npy", "fortran"), ("x.npz", "x")):
        checkpoint = open_checkpoint(tmp_path / name)
        for rows in (slice(2, 5), slice(0, 7), slice(6, 100), slice(None, 2), slice(3, 3)):
            assert torch.equal(checkpoint.read(key, rows), x[rows]), (name, rows)
        with pytest.raises(ValueError, match="a part of the first axis"):
            checkpoint.read(key, slice(0, 4, 2))


def test_storages_of_fsspec(tmp_path):
    storage = fsspec.filesystem("memory")
    tensors = {"a": torch.randn(3, 4), "b": torch.randn(2)}
    storage.pipe("/models/one/x.safetensors", save(tensors))
    for url in ("memory://models/one/x.safetensors", "memory://models/one", "memory://models/one/"):
        checkpoint = open_checkpoint(url)
        assert torch.equal(checkpoint.read("a", slice(1, 3)), tensors["a"][1:])
    for number, name in enumerate("ab"):
        storage.pipe(f"/models/two/m-{number}.safetensors", save({name: tensors[name]}))
    storage.pipe("/models/two/m.safetensors.index.json", json.dumps({"weight_map": {"a": "m-0.safetensors", "b": "m-1.safetensors"}}).encode())
    for url in ("memory://models/two", "memory://models/two/m.safetensors.index.json"):
        checkpoint = open_checkpoint(url)
        assert {name: checkpoint.read(name).tolist() for name in checkpoint.infos} == {name: x.tolist() for name, x in tensors.items()}
    save_file(tensors, tmp_path / "x.safetensors")
    assert torch.equal(open_checkpoint(f"file://{tmp_path}/x.safetensors").read("b"), tensors["b"])
    with pytest.raises(CheckpointError, match=r"nothing://.*: this storage cannot be reached"):
        open_checkpoint("nothing://x.safetensors")
    with pytest.raises(CheckpointError, match="cannot be read"):
        open_checkpoint("memory://models/absent/x.safetensors")
