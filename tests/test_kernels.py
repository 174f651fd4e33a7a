"""The one-pass loops against their definitions in torch: the same codes, scales and numbers, bit for bit."""

import dataclasses
import math
import os
import threading

import numpy as np
import pytest
import torch

import fp8core as fp8
from fp8core import kernels
from fp8core.distributions import FATES, binade_histogram, distribution
from fp8core.formats import FORMATS
from fp8core.kernels import pool
from fp8core.layers import statistics

PATTERNS = ("ue4m4", "e3m2_nosub", "ue3m2_nosub", "e4m3b3fn", "e6m5", "binary6p3uf", "int13", "table(-1,-0.5,0,0.5,1)", "table(1,2,-0.0,0)", "table(-3,-1,2,nan,inf,-inf)")
GRID = [
    f"{name}:{granularity}:{rule}"
    for name in ("e4m3fn", "e2m1fn", "int8", "nf4", "float16", "bfloat16", "e8m0fnu", "ue4m3", "binary8p1")
    for granularity in ("tensor", "row", "column", "1x16", "3x5", "128x128", "*x4", "4x*")
    for rule in ("amax:float32", "rceil:e8m0fnu", "amax:e4m3fn_float32", "even:ue5m3")
]


def by_definition(question, *args, **options):
    with kernels.set_aside():
        return question(*args, **options)


def same_numbers(ours, theirs) -> bool:
    """Equal values and signs, NaN equal to NaN whatever its bits."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    counts = ~np.isnan(theirs)
    return np.array_equal(ours, theirs, equal_nan=True) and np.array_equal(np.signbit(ours)[counts], np.signbit(theirs)[counts])


def edges(fmt) -> np.ndarray:
    """Values, midpoints and both ends of a format with their float64 neighbours, specials, and numbers of every size."""
    values = fmt.finite_values if fmt.bits <= 16 else np.float64([1.0, 1.5])
    values = values[:: max(len(values) // 600, 1)]
    points = np.concatenate([values, (values[1:] + values[:-1]) / 2, [fmt.max + fmt.ulp_at_max / 2, fmt.lowest - fmt.ulp_at_max / 2, fmt.max + fmt.ulp_at_max]])
    rng = np.random.default_rng(0)
    specials = [0.0, -0.0, math.inf, -math.inf, math.nan, -math.nan, 5e-324, -1e-45, 2.0**-127, 1e300, -1.7e308, 2.0**128]
    return np.concatenate([points, np.nextafter(points, math.inf), np.nextafter(points, -math.inf), specials, rng.standard_normal(400) * 10.0 ** rng.uniform(-12, 12, 400)])


def inputs(fmt) -> list[torch.Tensor]:
    wide = edges(fmt)
    with np.errstate(all="ignore"):
        narrow = wide.astype(np.float32)
        narrow = np.concatenate([narrow, np.nextafter(narrow, np.float32(math.inf)), np.nextafter(narrow, np.float32(-math.inf))])
    patterns = np.random.default_rng(1).integers(0, 1 << 32, 2000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    sixteen_bits = torch.arange(-(1 << 15), 1 << 15, dtype=torch.int32).to(torch.int16)
    return [
        torch.from_numpy(wide),
        torch.from_numpy(np.concatenate([narrow, patterns])),
        sixteen_bits.view(torch.bfloat16),
        sixteen_bits.view(torch.float16),
    ]


@pytest.mark.parametrize("name", [*FORMATS, *PATTERNS])
def test_rounding_equals_the_definition(name):
    fmt = fp8.parse_format(name)
    for x in inputs(fmt):
        for rounding in fp8.ROUNDINGS:
            for overflow in fp8.OVERFLOWS:
                codes = fp8.encode(x, fmt, rounding, overflow, seed=3)
                assert torch.equal(codes.to(torch.int64), by_definition(fp8.encode, x, fmt, rounding, overflow, seed=3).to(torch.int64)), (rounding, overflow, x.dtype)
                rounded = fp8.round_to(x, fmt, rounding, overflow, seed=3)
                assert same_numbers(rounded, by_definition(fp8.round_to, x, fmt, rounding, overflow, seed=3)), (rounding, overflow, x.dtype)
        assert same_numbers(fp8.decode(codes, fmt), by_definition(fp8.decode, codes, fmt))


def tensors() -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(2)
    wild = rng.standard_normal((64, 513)) * 10.0 ** rng.uniform(-44, 38, (64, 513))
    special = rng.standard_normal((64, 256)).astype(np.float32)
    special[::7] = 0
    special[3, 5], special[9, 9], special[11, 200], special[20], special[40, :128], special[41] = np.nan, np.inf, -np.inf, np.nan, 1e-42, -0.0
    with np.errstate(over="ignore"):
        found = {"one": np.float32([[-2.5]]), "thin": rng.standard_normal((5, 1)), "odd": rng.standard_normal((129, 257)), "long": rng.standard_normal((3, 5000)).astype(np.float32), "wild": wild.astype(np.float32)}
    found |= {"wild, float64": wild, "special": special, "zeros": np.zeros((4, 64), np.float32), "ties": (rng.integers(-500, 500, (40, 128)) / 16 * 3).astype(np.float32)}
    result = {name: torch.from_numpy(x) for name, x in found.items()}
    return result | {"bfloat16": torch.from_numpy(special).bfloat16(), "float16": torch.from_numpy(special).half(), "turned": torch.from_numpy(rng.standard_normal((96, 40)).astype(np.float32)).T}


TENSORS = tensors()


@pytest.mark.parametrize("name", [*fp8.RECIPES, *GRID])
def test_quantizing_and_measuring_equal_the_definition(name):
    recipe = fp8.parse_recipe(name)
    for title, x in TENSORS.items():
        ours, theirs = fp8.quantize(x, recipe, seed=5), by_definition(fp8.quantize, x, recipe, seed=5)
        assert np.array_equal(ours.codes.numpy(), theirs.codes.numpy()), title
        assert same_numbers(ours.scale, theirs.scale), title
        assert (ours.scale_codes is None) == (theirs.scale_codes is None)
        assert ours.scale_codes is None or np.array_equal(ours.scale_codes.numpy(), theirs.scale_codes.numpy()), title
        assert theirs.global_scale is None or same_numbers(ours.global_scale, theirs.global_scale), title
        restored = by_definition(theirs.dequantize)
        assert same_numbers(ours.dequantize(), restored), title
        assert same_numbers(fp8.fake_quantize(x, recipe, seed=5), restored), title
        assert_same_report(fp8.measure(x, ours), by_definition(fp8.measure, x, ours), title)
        for scaled in (False, True):
            assert_same_distribution(distribution(x, ours, scaled=scaled), by_definition(distribution, x, ours, scaled=scaled), title)


def assert_same_distribution(ours, theirs, title) -> None:
    assert np.array_equal(ours.binades, theirs.binades), title
    assert all(np.array_equal(ours.counts[fate], theirs.counts[fate]) for fate in FATES), title
    assert (ours.zeros, ours.nans, ours.infs, ours.count) == (theirs.zeros, theirs.nans, theirs.infs, theirs.count), title


SUMMED = {"signal", "noise", "sqnr_db", "mse", "cosine", "binade_mse", "binade_sqnr_db"}


def assert_same_report(ours, theirs, title) -> None:
    """Counts and maxima are equal; sums are taken in another order."""
    for field in dataclasses.fields(ours):
        mine, other = (np.asarray(getattr(report, field.name), dtype=np.float64) for report in (ours, theirs))
        near = {"rtol": 1e-11, "atol": 1e-9} if field.name in SUMMED else {"rtol": 0.0, "atol": 0.0}
        np.testing.assert_allclose(mine, other, **near, err_msg=f"{field.name} of {title}")


@pytest.mark.parametrize("title", TENSORS)
def test_binades_equal_the_definition(title):
    ours, theirs = binade_histogram(TENSORS[title]), by_definition(binade_histogram, TENSORS[title])
    assert np.array_equal(ours.binades, theirs.binades)
    assert np.array_equal(ours.counts, theirs.counts)
    assert (ours.zeros, ours.nans, ours.infs) == (theirs.zeros, theirs.nans, theirs.infs)


@pytest.mark.parametrize("name", ["mxfp8_e4m3", "tensor_e4m3", "row_e4m3", "column_e4m3", "e4m3fn:1x128", "e4m3fn:128x128", "te_mxfp8", "nvfp4"])
@pytest.mark.parametrize("shape", [(1, 1 << 18), (1 << 18, 1), (700, 515), (3, 100_003)])
def test_pieces_of_large_matrices_fit_together(name, shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    ours, theirs = fp8.quantize(x, name), by_definition(fp8.quantize, x, name)
    assert torch.equal(ours.codes, theirs.codes)
    assert same_numbers(ours.scale, theirs.scale)
    assert same_numbers(fp8.fake_quantize(x, name), theirs.dequantize())
    assert_same_report(fp8.measure(x, ours), by_definition(fp8.measure, x, ours), name)


@pytest.mark.parametrize("name", ["e4m3fn", "int8", "nf4", "bfloat16"])
def test_a_result_may_be_the_input(name):
    x = torch.randn(70_001, generator=torch.Generator().manual_seed(1))
    want, again = fp8.round_to(x, name), x.clone()
    assert fp8.round_to(again, name, out=again) is again
    assert torch.equal(again, want)
    recipe, matrix = f"{name}:1x32:amax:float32", x[:70_000].reshape(-1, 100).clone()
    want = fp8.fake_quantize(matrix, recipe)
    assert same_numbers(fp8.fake_quantize(matrix, recipe, out=matrix), want)


def test_results_do_not_depend_on_the_number_of_threads():
    x = torch.randn(1000, 1000, generator=torch.Generator().manual_seed(2))
    before = torch.get_num_threads()
    try:
        reports = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            q = fp8.quantize(x, fp8.make_recipe("e4m3fn", fp8.ScaleSpec((1, 32)), rounding="stochastic"), seed=7)
            reports.append((q.codes, fp8.measure(x, q)))
    finally:
        torch.set_num_threads(before)
    for codes, report in reports[1:]:
        assert torch.equal(codes, reports[0][0])
        assert report.sqnr_db == reports[0][1].sqnr_db


def test_flushing_subnormal_numbers_changes_nothing():
    x = torch.from_numpy(np.ldexp(np.random.default_rng(3).standard_normal((40, 64)), -128).astype(np.float32))
    names = ("bfloat16", "float32", "e4m3fn:row:amax:float32", "mxfp8_e4m3", "e4m3fn")
    want = [fp8.fake_quantize(x, name) for name in names]
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush subnormal numbers to zero")
    try:
        got = [fp8.fake_quantize(x, name) for name in names]
    finally:
        torch.set_flush_denormal(False)
    for name, ours, theirs in zip(names, got, want, strict=True):
        assert torch.equal(ours.view(torch.int32), theirs.view(torch.int32)), name


def test_many_threads_get_the_same_numbers():
    x = torch.randn(300, 1000, generator=torch.Generator().manual_seed(4))
    names = ("mxfp8_e4m3", "nvfp4", "row_e4m3", "tensor_e4m3", "te_current", "nf4_64", "int8_row", "e5m2")
    want = {name: fp8.quantize(x, name) for name in names}
    reports = {name: fp8.measure(x, q).sqnr_db for name, q in want.items()}
    wrong, rounds = [], int(os.environ.get("FP8CORE_HAMMER_ROUNDS", "6"))

    def hammer(number):
        try:
            for turn in range(rounds):
                name = names[(number + turn) % len(names)]
                q = fp8.quantize(x, name)
                if not torch.equal(q.codes, want[name].codes) or fp8.measure(x, q).sqnr_db != reports[name] or not torch.equal(fp8.fake_quantize(x, name), want[name].dequantize()):
                    wrong.append(name)
        except Exception as error:  # a thread's exception would be lost
            wrong.append(repr(error))

    threads = [threading.Thread(target=hammer, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_wrong_codes_are_named():
    with pytest.raises(ValueError, match="code 200 does not exist in e2m1fn, whose codes run from 0 to 15"):
        fp8.decode(np.uint8([3, 200]), "e2m1fn")


def test_pieces_cover_a_matrix_once():
    for rows, columns, block_rows, block_columns in ((1, 300_000, 1, 32), (1000, 777, 1, 16), (1000, 777, 128, 128), (40, 9, 40, 1), (3, 200_000, 1, 200_000)):
        for cut in (False, True):
            found = pool.pieces(rows, columns, block_rows, block_columns, cut_blocks=cut)
            assert [piece.numbers.start for piece in found[1:]] == [piece.numbers.stop for piece in found[:-1]]
            assert (found[0].numbers.start, found[-1].numbers.stop) == (0, rows * columns)
            assert found[-1].blocks.stop == -(-rows // block_rows) * -(-columns // block_columns)


def test_a_forked_process_has_threads_of_its_own():
    fp8.round_to(np.ones(10), "e4m3fn")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        right = fp8.round_to(np.float32([0.1]), "e4m3fn")[0] == np.float32(0.1015625)
        os.write(writer, b"1" if right else b"0")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 1) == b"1"


def test_while_loops_are_compiled_ahead_the_definition_answers():
    thread = kernels.warm_in_background()
    assert same_numbers(fp8.round_to([0.1, 1000.0], "e4m3fn"), np.float32([0.1015625, 448.0]))
    thread.join(timeout=300)
    assert kernels.usable(torch.zeros(1))


@pytest.mark.parametrize("count", (0, 1, 2, 511, 513, 70_001))
@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16, torch.float16))
def test_statistics_equal_the_definition(count, dtype):
    rng = np.random.default_rng(count)
    bodies = (rng.standard_normal(count), 7 + 1e-3 * rng.standard_normal(count), rng.standard_normal(count) * 10.0 ** rng.uniform(-40, 37, count), np.full(count, 0.1), np.zeros(count))
    for x in (torch.from_numpy(body).to(dtype) for body in bodies):
        for special in (None, math.nan, math.inf, 0.0):
            if special is not None:
                x = x.clone()
                x[:: max(count // 7, 1)] = special
            ours, theirs = dataclasses.asdict(statistics(x)), dataclasses.asdict(by_definition(statistics, x))
            assert ours == pytest.approx(theirs, rel=1e-9, nan_ok=True)
            assert (ours["amax"] == theirs["amax"] or count == 0 or math.isnan(theirs["amax"])) and ours["zeros"] == theirs["zeros"]


def test_work_in_one_thread_keeps_its_context_and_its_errors():
    assert pool.in_one_thread(kernels.usable)
    with kernels.set_aside():
        assert not pool.in_one_thread(kernels.usable)
    x = torch.randn(300, 300, generator=torch.Generator().manual_seed(3))
    assert torch.equal(pool.in_one_thread(fp8.quantize, x, "mxfp4").codes, fp8.quantize(x, "mxfp4").codes)
    with pytest.raises(ValueError, match="nothing"):
        pool.in_one_thread(fp8.quantize, x, "nothing")
