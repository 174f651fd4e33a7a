"""Checkpoints: what safetensors and numpy wrote comes back bit by bit; what an attacker wrote is refused with one sentence and little memory."""

import io
import json
import os
import pickle
import struct
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor

import ml_dtypes
import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fp8core.checkpoints import CheckpointError, open_checkpoint
from fp8core.checkpoints.safetensors import DTYPES
from fp8core.models import DATA

NPY_DTYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]
TORCH_DTYPES = list(DTYPES.values())


def npy(array, **options):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=True, **options)
    return buffer.getvalue()


def npz(compressed=False, **arrays):
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)
    return buffer.getvalue()


def handmade_safetensors(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def handmade_npy(header, data=b"", version=(1, 0), length=None):
    text = header if isinstance(header, bytes) else repr(header).encode("latin-1")
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H" if version == (1, 0) else "<I", len(text) if length is None else length) + text + data


def handmade_npz(*members, method=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def bits(x):
    return x.contiguous().reshape(-1).view(torch.uint8) if x.numel() else x.shape


def same(a, b):
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    return torch.equal(bits(a), bits(b)) if a.numel() else True


def tensor_of(dtype, shape):
    count = torch.Size(shape).numel()
    raw = torch.arange(count * dtype.itemsize, dtype=torch.int64).mul(37).remainder(251).to(torch.uint8)
    return (raw % 2).bool().reshape(shape) if dtype is torch.bool else raw.view(dtype).reshape(shape) if count else torch.empty(shape, dtype=dtype)


# --- what comes back


@pytest.mark.parametrize("dtype", TORCH_DTYPES, ids=str)
def test_safetensors_of_every_type_come_back_bit_by_bit(dtype):
    tensors = {f"{len(shape)} axes {shape}": tensor_of(dtype, shape) for shape in [(), (1,), (0,), (3, 0, 2), (5, 7), (2, 3, 4, 5)]}
    checkpoint = open_checkpoint(safetensors.torch.save(tensors, metadata={"format": "pt"}), "x.safetensors")
    assert checkpoint.infos.keys() == tensors.keys()
    for name, x in tensors.items():
        info = checkpoint.infos[name]
        assert (info.name, info.shape, info.dtype, info.count, info.nbytes) == (name, tuple(x.shape), dtype, x.numel(), x.numel() * x.element_size())
        assert same(checkpoint.read(name), x)
    assert checkpoint.nbytes == sum(x.numel() * x.element_size() for x in tensors.values())


@pytest.mark.parametrize("path", sorted(DATA.glob("*/*.safetensors")), ids=lambda path: path.name)
def test_bundled_files_read_as_the_safetensors_library_reads_them(path):
    checkpoint, expected = open_checkpoint(path), safetensors.torch.load_file(path)
    assert checkpoint.infos.keys() == expected.keys()
    assert all(same(checkpoint.read(name), x) for name, x in expected.items())


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("layout", ["C", "F"])
@pytest.mark.parametrize("dtype", NPY_DTYPES)
def test_npy_of_every_type_order_and_layout(dtype, order, layout):
    for shape in [(), (3,), (0, 4), (4, 6), (2, 3, 4)]:
        array = np.asarray(np.arange(np.prod(shape, dtype=int)).reshape(shape) % 100, dtype=np.dtype(dtype).newbyteorder(order), order=layout)
        checkpoint = open_checkpoint(npy(array), "my.array.npy")
        assert list(checkpoint.infos) == ["my.array"]
        x = checkpoint.read("my.array")
        assert x.is_contiguous()
        assert same(x, torch.from_numpy(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))).reshape(shape)))


@given(hnp.arrays(st.sampled_from([np.dtype("<f4"), np.dtype(">f8"), np.dtype("<f2"), np.dtype(">i2")]), hnp.array_shapes(min_dims=0, min_side=0, max_side=5)), st.booleans())
def test_any_array_comes_back_with_its_nans_and_signs(array, compressed):
    x = open_checkpoint(npz(compressed, a=array), "a.npz").read("a")
    assert x.numpy().tobytes() == array.astype(array.dtype.newbyteorder("=")).tobytes()


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_npy(version):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert same(open_checkpoint(npy(array, version=version), "a.npy").read("a"), torch.from_numpy(array))


@pytest.mark.parametrize("compressed", [False, True])
def test_npz_members_are_read_one_by_one(compressed):
    normal = np.random.default_rng(0).standard_normal((300, 200))
    arrays = {"weight": normal, "zeros": np.zeros((1000, 100), np.float32), "step": np.array(3), "none": np.empty((0, 3))}
    checkpoint = open_checkpoint(npz(compressed, **arrays), "x.NPZ")
    assert checkpoint.infos.keys() == arrays.keys()
    for name, array in reversed(arrays.items()):
        assert same(checkpoint.read(name), torch.from_numpy(array))


def test_every_kind_of_source(tmp_path):
    x = torch.arange(12.0).reshape(3, 4)
    path = tmp_path / "größe.safetensors"
    safetensors.torch.save_file({"x": x}, path)
    content = path.read_bytes()
    uploaded = io.BytesIO(content)
    uploaded.name = "C:\\models\\größe.safetensors"
    with path.open("rb") as stream:
        for source, filename in ((path, None), (str(path), None), (content, "größe.safetensors"), (uploaded, None), (stream, None)):
            checkpoint = open_checkpoint(source, filename)
            assert checkpoint.filename == "größe.safetensors"
            assert same(checkpoint.read("x"), x)
    with pytest.raises(CheckpointError, match="has been closed, and it has to stay open"):
        checkpoint.read("x")


def test_what_is_read_is_the_callers_own():
    checkpoint = open_checkpoint(npy(np.ones(3)), "a.npy")
    checkpoint.read("a").zero_()
    assert checkpoint.read("a").all()


def test_threads_share_an_open_file():
    tensors = {str(n): torch.full((1000,), float(n)) for n in range(40)}
    checkpoint = open_checkpoint(io.BytesIO(safetensors.torch.save(tensors)), "x.safetensors")
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda name: torch.equal(checkpoint.read(name), tensors[name]), list(tensors) * 5))


def test_opening_reads_no_data_and_reading_reads_one_tensor(tmp_path):
    path = tmp_path / "large.safetensors"
    size = 64_000_000
    header = {name: {"dtype": "F32", "shape": [size // 4], "data_offsets": [begin, begin + size]} for begin, name in ((0, "a"), (size, "b"))}
    start = handmade_safetensors(header)
    with path.open("wb") as stream:
        stream.write(start)
        stream.truncate(len(start) + 2 * size)
    tracemalloc.start()
    checkpoint = open_checkpoint(path)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    assert checkpoint.read("b").shape == (size // 4,)
    assert size <= tracemalloc.get_traced_memory()[1] < 1.1 * size
    tracemalloc.stop()


def test_names_are_text_and_never_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["../../evil", "/etc/passwd", "a\x00b", "<b>x</b>", "con\n", "", "💥"]
    stored = safetensors.torch.save({name: torch.ones(2) for name in names})
    zipped = handmade_npz(*[(f"{name}.npy", npy(np.ones(2))) for name in names if "\x00" not in name])
    for checkpoint in (open_checkpoint(stored, "../../x.safetensors"), open_checkpoint(zipped, "/tmp/x.npz")):
        assert "/" not in checkpoint.filename
        assert all(checkpoint.read(name).all() for name in checkpoint.infos)
        assert {"../../evil", "/etc/passwd", "💥"} <= checkpoint.infos.keys()
    assert os.listdir(tmp_path) == []


# --- what is refused


def test_entries_of_other_types_are_refused_one_by_one():
    arrays = {
        "text": (np.array(["a"]), "text"),
        "date": (np.array(["2020-01-01"], "M8[D]"), "dates"),
        "span": (np.array([1], "m8[s]"), "time spans"),
        "complex": (np.ones(2, complex), "complex numbers"),
        "bytes": (np.array([b"a"]), "bytes"),
        "record": (np.zeros(2, [("a", "f4")]), "records"),
        "long": (np.zeros(2, np.longdouble), "torch does not have"),
        "bf16": (np.ones(2, ml_dtypes.bfloat16), "raw bytes"),
        "objects": (np.array([{}], object), "pickle"),
    }
    checkpoint = open_checkpoint(npz(ok=np.ones(2), **{name: array for name, (array, _) in arrays.items()}), "mixed.npz")
    assert list(checkpoint.infos) == ["ok"]
    assert checkpoint.refused.keys() == arrays.keys()
    for name, (array, word) in arrays.items():
        with pytest.raises(CheckpointError, match=rf"^mixed\.npz: tensor '{name}' has dtype .* which holds .*{word}.*; only f2, "):
            checkpoint.read(name)
        with pytest.raises(CheckpointError, match=f"one.npy: tensor 'one' has dtype .*{word}"):
            open_checkpoint(npy(array), "one.npy")


def test_safetensors_types_that_are_not_read():
    header = {
        "c": {"dtype": "C64", "shape": [2], "data_offsets": [0, 16]},
        "f": {"dtype": "F32", "shape": [1], "data_offsets": [16, 20]},
        "n": {"dtype": ["F32"], "shape": [], "data_offsets": [20, 20]},
    }
    checkpoint = open_checkpoint(handmade_safetensors(header, bytes(20)), "x.safetensors")
    assert list(checkpoint.infos) == ["f"]
    with pytest.raises(CheckpointError, match=r"^x.safetensors: tensor 'c' has dtype 'C64', and only F64, F32"):
        checkpoint.read("c")
    with pytest.raises(CheckpointError, match=r"tensor 'n' has dtype \['F32'\]"):
        checkpoint.read("n")
    with pytest.raises(CheckpointError, match=r"there is no tensor 'g' among the 1 of this file"):
        checkpoint.read("g")


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("a-pickle-was-run",)


def test_a_pickle_is_never_run_whatever_it_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evil = pickle.dumps(Bomb())
    as_object = npy(np.array([Bomb()], object))
    for filename, content, message in [
        ("x.npy", evil, "begins like a Python pickle"),
        ("x.npz", evil, "begins like a Python pickle"),
        ("x.safetensors", evil, "begins like a Python pickle"),
        ("x.pt", evil, r"'\.pt' are not read.*pickles"),
        ("x.pkl", evil, r"'\.pkl' are not read.*pickles"),
        ("x.npy", as_object, "Python objects, which are stored as a pickle"),
        ("x.npz", handmade_npz(("x.npy", as_object)), "Python objects"),
        ("x.npz", handmade_npz(("x.npy", evil)), "begins like a Python pickle"),
        ("x.npz", handmade_npz(("data.pkl", evil)), r"the member 'data\.pkl' is not a \.npy array"),
    ]:
        with pytest.raises(CheckpointError, match=message):
            open_checkpoint(content, filename)
    assert os.listdir(tmp_path) == []


GOOD = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
SAFETENSORS_LIES = {
    "empty file": (b"", "it has 0 bytes"),
    "short": (b"\x01\x02", "it has 2 bytes"),
    "10 GB header": (handmade_safetensors({"a": GOOD}, bytes(8), length=10**10), "header would have 10,000,000,000 bytes, and at most 10,000,000"),
    "header beyond the file": (handmade_safetensors({"a": GOOD}, length=5000), "header would have 5,000 bytes, but only"),
    "cut off": (handmade_safetensors({"a": GOOD}, bytes(8))[:-1], "rising numbers from 0 to 7"),
    "10 GB tensor": (handmade_safetensors({"a": {"dtype": "U8", "shape": [10**10], "data_offsets": [0, 10**10]}}), r"data_offsets \[0, 10000000000\].*from 0 to 0"),
    "shape larger than its bytes": (handmade_safetensors({"a": GOOD | {"shape": [10**10]}}, bytes(8)), r"'a' has 8 bytes, but shape \(10000000000,\) in F32 needs 40,000,000,000"),
    "overlap": (handmade_safetensors({"a": GOOD, "b": GOOD | {"data_offsets": [4, 12]}}, bytes(12)), "'b' begins at byte 4 .* overlaps"),
    "same bytes twice": (handmade_safetensors({"a": GOOD, "b": GOOD}, bytes(8)), "'b' begins at byte 0 .* overlaps"),
    "gap": (handmade_safetensors({"a": GOOD, "b": GOOD | {"data_offsets": [12, 20]}}, bytes(20)), "'b' begins at byte 12 .* leaves a gap"),
    "trailing bytes": (handmade_safetensors({"a": GOOD}, bytes(9)), "take 8 bytes of data, but the file holds 9"),
    "falling offsets": (handmade_safetensors({"a": GOOD | {"data_offsets": [8, 0]}}, bytes(8)), r"data_offsets \[8, 0\]"),
    "negative offsets": (handmade_safetensors({"a": GOOD | {"data_offsets": [-8, 0]}}, bytes(8)), r"data_offsets \[-8, 0\]"),
    "offsets that are no numbers": (handmade_safetensors({"a": GOOD | {"data_offsets": "08"}}, bytes(8)), "data_offsets '08'"),
    "three offsets": (handmade_safetensors({"a": GOOD | {"data_offsets": [0, 4, 8]}}, bytes(8)), r"data_offsets \[0, 4, 8\]"),
    "fractional offsets": (handmade_safetensors({"a": GOOD | {"data_offsets": [0, 8.0]}}, bytes(8)), r"data_offsets \[0, 8.0\]"),
    "negative axis": (handmade_safetensors({"a": GOOD | {"shape": [-2]}}, bytes(8)), r"shape \[-2\]"),
    "true as an axis": (handmade_safetensors({"a": GOOD | {"shape": [True, 2]}}, bytes(8)), r"shape \[True, 2\]"),
    "shape is no list": (handmade_safetensors({"a": GOOD | {"shape": 2}}, bytes(8)), "has shape 2"),
    "overflowing shape": (handmade_safetensors({"a": GOOD | {"shape": [2**62, 2**62]}}, bytes(8)), "63 bits"),
    "overflowing shape with a zero": (handmade_safetensors({"a": GOOD | {"shape": [2**62, 2**62, 0], "data_offsets": [0, 0]}}), "63 bits"),
    "100,000 axes": (handmade_safetensors({"a": GOOD | {"shape": [9] * 100_000}}, bytes(8)), "at most 64 axes"),
    "entry without a shape": (handmade_safetensors({"a": {"dtype": "F32", "data_offsets": [0, 8]}}, bytes(8)), "dtype, shape and data_offsets"),
    "entry is no object": (handmade_safetensors({"a": 7}), "the entry of tensor 'a' is 7"),
    "header is a list": (handmade_safetensors([1]), "JSON list"),
    "header is no JSON": (handmade_safetensors(b"{'a'"), "not the JSON"),
    "header is no UTF-8": (handmade_safetensors(b'{"\xff": 1}'), "not the JSON"),
    "deeply nested header": (handmade_safetensors(b"[" * 200_000), "not the JSON"),
    "enormous number": (handmade_safetensors(b'{"a": ' + b"9" * 10_000 + b"}"), "not the JSON"),
    "name twice": (handmade_safetensors(b'{"a": 1, "a": 2}'), "a name occurs twice"),
    "a zip": (handmade_npz(("a.npy", b"")), r"begins like a zip archive \(\.npz\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", SAFETENSORS_LIES)
def test_safetensors_that_lie_are_refused(case):
    content, message = SAFETENSORS_LIES[case]
    refuses_with_little_memory(content, "lie.safetensors", message)


FLOATS = {"descr": "<f4", "fortran_order": False, "shape": (2,)}
NPY_LIES = {
    "empty file": (b"", "begins with b''"),
    "text": (b"hello world", r"begins with b'hello ', and a \.npy array begins with"),
    "a zip": (handmade_npz(("a.npy", b"")), "begins like a zip archive"),
    "magic only": (b"\x93NUMPY", "cut off after 6 bytes"),
    "version 9": (handmade_npy(FLOATS, bytes(8), version=(9, 0)), r"\.npy version 9\.0, and versions 1\.0"),
    "4 GB header": (handmade_npy(FLOATS, bytes(8), version=(2, 0), length=2**32 - 1), "header of 4,294,967,295 bytes, and at most 10,000"),
    "cut off in the header": (handmade_npy(FLOATS)[:30], "cut off within its header"),
    "cut off in the length": (handmade_npy(FLOATS)[:9], "cut off within its header"),
    "cut off in the data": (handmade_npy(FLOATS, bytes(7)), r"has 7 bytes of data, but shape \(2,\) in <f4 needs 8"),
    "too much data": (handmade_npy(FLOATS, bytes(9)), "has 9 bytes of data"),
    "10 GB of nothing": (handmade_npy(FLOATS | {"shape": (10**10,)}), r"has 0 bytes of data, but shape \(10000000000,\)"),
    "overflowing shape": (handmade_npy(FLOATS | {"shape": (2**62, 4)}), "63 bits"),
    "negative shape": (handmade_npy(FLOATS | {"shape": (-1,)}, bytes(8)), r"shape \(-1,\)"),
    "shape is a number": (handmade_npy(FLOATS | {"shape": 2}, bytes(8)), "shape 2"),
    "wrong keys": (handmade_npy({"descr": "<f4"}, bytes(8)), "dict with descr, fortran_order"),
    "order is a number": (handmade_npy(FLOATS | {"fortran_order": 1}, bytes(8)), "True or False"),
    "header is code": (handmade_npy(b"__import__('os').mkdir('x')"), "not a Python dict literal"),
    "deeply nested header": (handmade_npy(b"(" * 9000), "not a Python dict literal"),
    "deeply signed header": (handmade_npy(b"-" * 9000 + b"1"), "not a Python dict literal"),
    "set of lists": (handmade_npy(b"{[]}"), "not a Python dict literal"),
    "unknown type": (handmade_npy(FLOATS | {"descr": "<q9"}, bytes(8)), "entries of an unknown kind"),
    "type is a number": (handmade_npy(FLOATS | {"descr": 7}, bytes(8)), "has dtype 7, which holds raw bytes or records"),
    "type is empty": (handmade_npy(FLOATS | {"descr": ""}, bytes(8)), "has dtype '', which holds entries of an unknown kind"),
}  # fmt: skip


@pytest.mark.parametrize("packed", [False, True], ids=["npy", "npz"])
@pytest.mark.parametrize("case", NPY_LIES)
def test_npy_that_lie_are_refused_alone_and_in_an_npz(case, packed):
    content, message = NPY_LIES[case]
    if packed:
        refuses_with_little_memory(handmade_npz(("lie.npy", content)), "lie.npz", message)
    else:
        refuses_with_little_memory(content, "lie.npy", message)


def patched(content, offset_in_entry, value, width):
    """Overwrite a field of the first entry of the central directory of a zip archive."""
    at = content.index(b"PK\x01\x02") + offset_in_entry
    return content[:at] + value.to_bytes(width, "little") + content[at + width :]


ONES = npy(np.ones(100))
NPZ_LIES = {
    "empty file": (b"", "not the zip archive that a .npz file has to be"),
    "text": (b"hello world" * 10, "not the zip archive that a .npz file has to be"),
    "an npy": (ONES, r"begins like a \.npy file"),
    "cut off": (npz(a=np.ones(1000))[:5000], "not the zip archive that a .npz file has to be"),
    "size beyond what deflate can do": (patched(npz(True, a=np.ones(100)), 24, 2**31, 4), "would unpack from .* to 2,147,483,648 bytes, and more than .* are impossible"),
    "stored size that is not the packed size": (patched(handmade_npz(("a.npy", ONES)), 24, 10**9, 4), "to 1,000,000,000 bytes"),
    "packed size beyond the file": (patched(handmade_npz(("a.npy", ONES)), 20, 10**9, 4), "zip bomb|damaged"),
    "encrypted": (patched(handmade_npz(("a.npy", ONES)), 8, 1, 2), "encrypted"),
    "bzip2": (handmade_npz(("a.npy", ONES), method=zipfile.ZIP_BZIP2), "packed by method 12"),
    "lzma": (handmade_npz(("a.npy", ONES), method=zipfile.ZIP_LZMA), "packed by method 14"),
    "no name": (handmade_npz(("~", ONES)).replace(b"~", b"\x00"), "the member '' is not a .npy array"),
    "nothing readable": (handmade_npz(("readme.txt", b"x"), ("folder/", b"")), "'readme.txt' is not"),
}  # fmt: skip


@pytest.mark.parametrize("case", NPZ_LIES)
def test_npz_that_lie_are_refused(case):
    content, message = NPZ_LIES[case]
    refuses_with_little_memory(content, "lie.npz", message)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_npz_with_one_name_twice_is_refused():
    refuses_with_little_memory(handmade_npz(("a.npy", ONES), ("a.npy", ONES)), "lie.npz", "the name 'a' occurs twice")
    refuses_with_little_memory(handmade_npz(("a.npy", ONES), ("a", b"")), "lie.npz", "the name 'a' occurs twice")


def test_a_zip_bomb_is_stopped_by_max_nbytes_before_it_unpacks():
    header = handmade_npy({"descr": "<f4", "fortran_order": False, "shape": (25_000_000,)})
    bomb = handmade_npz(("a.npy", header + bytes(100_000_000)), method=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 200_000
    refuses_with_little_memory(bomb, "bomb.npz", "its tensors take 100,000,000 bytes, and at most 99,999,999 are allowed", max_nbytes=99_999_999)
    assert open_checkpoint(bomb, "bomb.npz", max_nbytes=100_000_000).nbytes == 100_000_000


def refuses_with_little_memory(content, filename, message, **options):
    tracemalloc.start()
    with pytest.raises(CheckpointError, match=message) as refusal:
        open_checkpoint(content, filename, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000 + 4 * len(content)
    text = str(refusal.value)
    assert text.startswith(f"{filename}: ")
    assert "\n" not in text
    assert len(text) < 500


def test_max_nbytes_holds_for_every_kind_of_file():
    array = np.ones(100, np.float32)
    for filename, content in (("a.npy", npy(array)), ("a.npz", npz(a=array)), ("a.safetensors", safetensors.torch.save({"a": torch.ones(100)}))):
        assert open_checkpoint(content, filename, max_nbytes=400).nbytes == 400
        with pytest.raises(CheckpointError, match=rf"{filename}: its tensors take 400 bytes, and at most 399 are allowed here"):
            open_checkpoint(content, filename, max_nbytes=399)


def test_damage_after_the_header_shows_when_the_tensor_is_read(tmp_path):
    content = bytearray(npz(True, a=np.random.default_rng(0).standard_normal(1000)))
    content[3000] ^= 0xFF
    checkpoint = open_checkpoint(bytes(content), "a.npz")
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.read("a")
    path = tmp_path / "a.npy"
    path.write_bytes(npy(np.ones(1000)))
    checkpoint = open_checkpoint(path)
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(CheckpointError, match="cut off or has changed since it was opened"):
        checkpoint.read("a")
    path.unlink()
    with pytest.raises(CheckpointError, match=r"a\.npy: it cannot be read .No such file"):
        checkpoint.read("a")


@pytest.mark.parametrize(
    ("source", "filename", "message"),
    [
        (b"", None, "the file has no name"),
        (io.BytesIO(b""), None, "the file has no name"),
        (b"", "x.gguf", r"^x.gguf: files that end in '\.gguf' are not read, only \.safetensors, \.npy, \.npz$"),
        (b"", "x", "files that end in ''"),
        (b"", "", "files that end in ''"),
        ("no/such/file.npy", None, "^file.npy: it cannot be read .No such file or directory"),
        (DATA, "x.npy", "^x.npy: it cannot be read .Is a directory"),
        ("a\0b.npy", None, r"^a\\x00b\.npy: no path holds a null character"),
        (7, "x.npy", "int is not a path, bytes, or a file"),
        (io.StringIO("x"), "x.npy", "StringIO is not a path"),
        (b"", "a\nb\x1b[0m.npy", r"^a\\nb\\x1b\[0m\.npy: "),
    ],
)
def test_sources_that_are_no_checkpoint(source, filename, message):
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(source, filename)


@given(st.sampled_from(["x.npy", "x.npz", "x.safetensors"]), st.data())
def test_no_damaged_byte_leads_to_another_error(filename, data):
    """Change, cut and insert bytes: every file either reads or is refused."""
    whole = {
        "x.npy": npy(np.ones((2, 3))),
        "x.npz": npz(True, a=np.ones(4), b=np.arange(3)),
        "x.safetensors": safetensors.torch.save({"a": torch.ones(2), "b": torch.zeros(3, dtype=torch.float8_e5m2)}),
    }[filename]
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(content) - 1, 0)))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        checkpoint = open_checkpoint(bytes(content), filename, max_nbytes=10**6)
        for name in checkpoint.infos:
            checkpoint.read(name)
    except CheckpointError as error:
        sentence = str(error)
    else:
        sentence = f"{filename}: {type(checkpoint).__name__} of {checkpoint.nbytes} bytes"
        assert checkpoint.nbytes <= 10**6
    assert sentence.startswith(f"{filename}: ")


def test_half_a_pair_of_characters_is_no_name():
    header = json.dumps({"a\ud83d": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    with pytest.raises(CheckpointError, match="has half of a pair of characters in its name"):
        open_checkpoint(len(header).to_bytes(8, "little") + header + bytes(4), "x.safetensors")
