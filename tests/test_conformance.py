"""Comparing with oracles: nothing differs, what is wrong is found, what is missing is said and not passed."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from fp8core import conformance
from fp8core.__main__ import main
from fp8core.codec import encode
from fp8core.conformance import ORACLES, RECIPE_ORACLES, Divergence, check_format, check_recipe, divergences_seen
from fp8core.conformance import check as checking
from fp8core.conformance.matrices import recipe_matrices
from fp8core.conformance.points import format_points
from fp8core.formats import FORMATS, IntFormat, TableFormat, parse_format
from fp8core.recipes import RECIPES
from fp8core.scaling import ScaleSpec

INSTALLED = conformance.installed_versions()


@pytest.fixture(scope="module")
def results():
    return conformance.run()


def test_nothing_differs(results):
    assert [(r.subject, r.oracle, r.aspect, r.first) for r in results if r.status == "failed"] == []
    assert sum(r.compared for r in results) > 20_000_000


def test_every_format_is_compared_or_said_to_be_not(results):
    compared = {r.subject for r in results if r.kind == "format" and r.compared}
    for name, fmt in FORMATS.items():
        if not isinstance(fmt, TableFormat):
            assert name in compared
        mine = [r for r in results if (r.kind, r.subject) == ("format", name)]
        assert mine and all(r.status in conformance.STATUSES for r in mine)
        assert all(r.note for r in mine if r.status in ("not installed", "not covered"))


def test_every_code_of_at_most_16_bits_is_decoded(results):
    for r in results:
        if r.aspect == "decode":
            assert r.compared == 1 << parse_format(r.subject).bits


@pytest.mark.parametrize("name", [name for name in FORMATS if not isinstance(FORMATS[name], TableFormat)])
def test_gfloat_is_asked_in_every_aspect(results, name):
    aspects = {r.aspect for r in results if (r.kind, r.subject, r.oracle) == ("format", name, "gfloat")}
    assert aspects == {"round half_even", "other rounding modes", "overflow"} | ({"decode"} if FORMATS[name].bits <= 16 else set())


def test_points_hold_every_value_midpoint_and_neighbour():
    for name in ("e4m3fn", "e2m1fn", "int4", "hif8"):
        values = FORMATS[name].finite_values
        middle = ((values[1:] + values[:-1]) / 2).astype(np.float32)
        points = set(format_points(FORMATS[name], np.float32)[~np.isnan(format_points(FORMATS[name], np.float32))].tolist())
        for around in (values, middle, np.nextafter(middle, np.float32(np.inf)), np.nextafter(middle, np.float32(-np.inf))):
            assert set(np.asarray(around, np.float32).tolist()) <= points
        assert {np.inf, -np.inf, 0.0} <= points


def test_matrices_hold_every_edge_of_an_amax():
    matrices = dict(recipe_matrices(RECIPES["mxfp4"], ragged=False))
    amaxes = set(np.abs(matrices["edges"].reshape(-1, 32)).max(axis=1).tolist())
    for k in (-149, -127, -126, 0, 100, 127):
        for significand in (1.0, 1.5, 1.75):
            edge = np.float32(np.ldexp(significand, k))
            assert {float(edge), float(np.nextafter(edge, np.float32(0)))} - {0.0} <= amaxes
    assert not matrices["zeros"].any() and np.isnan(matrices["NaN"]).sum() == 1 and np.isinf(matrices["infinity"]).sum() == 1
    assert "ragged" not in matrices and "ragged" in dict(recipe_matrices(RECIPES["mxfp4"], ragged=True))


# ---- a comparison can fail


@pytest.fixture
def no_tables_kept():
    """Formats of one name are one format, and their tables are kept: an impostor must neither find them nor leave its own."""
    _forget_tables()
    yield
    _forget_tables()


def _forget_tables():
    for name, module in list(sys.modules.items()):
        if name.startswith("fp8core."):
            for kept in list(vars(module).values()):
                if hasattr(kept, "cache_clear") and getattr(kept, "__module__", "").startswith("fp8core."):
                    kept.cache_clear()


@pytest.mark.parametrize(("oracle", "aspects"), [("ml_dtypes", {"decode", "round half_even"}), ("gfloat", {"decode", "round half_even", "other rounding modes"}), ("torch", {"decode", "round half_even"})])
def test_a_wrong_format_is_found(no_tables_kept, oracle, aspects):
    wrong = replace(FORMATS["e4m3fn"], bias=8)
    failed = {r.aspect: r for r in check_format(wrong, oracle) if r.status == "failed"}
    assert aspects <= set(failed)
    assert 250 < failed["decode"].mismatches <= 256
    assert (failed["decode"].first.input, failed["decode"].first.ours[:12], failed["decode"].first.theirs[:12]) == ("code 0x01", "0.0009765625", "0.001953125 ")


def test_a_wrong_table_is_found_where_one_value_is_off(no_tables_kept):
    hif8 = FORMATS["hif8"]
    wrong = replace(hif8, table=tuple(1.0625 if value == 1.125 else value for value in hif8.table))
    if "en_dtypes" not in INSTALLED:
        pytest.skip(ORACLES["en_dtypes"].advice)
    assert {r.aspect: r.mismatches for r in check_format(wrong, "en_dtypes")}["decode"] == 1


def test_a_wrong_rounding_is_found(monkeypatch):
    monkeypatch.setattr(checking, "encode", lambda x, fmt, rounding, overflow: encode(x, fmt, "half_away" if rounding == "half_even" else rounding, overflow))
    failed = {r.aspect: r for r in check_format(FORMATS["e5m2"], "ml_dtypes") if r.status == "failed"}
    assert set(failed) == {"round half_even"}
    assert failed["round half_even"].first.input.endswith("half_even, saturate")


def test_a_wrong_overflow_is_found(monkeypatch):
    monkeypatch.setattr(checking, "encode", lambda x, fmt, rounding, overflow: encode(x, fmt, rounding, "saturate"))
    assert {r.aspect for r in check_format(FORMATS["e5m2"], "gfloat") if r.status == "failed"} == {"overflow"}


def test_a_one_pass_that_differs_from_the_codes_is_found(monkeypatch):
    monkeypatch.setattr(checking, "round_to", lambda x, fmt, rounding, overflow: fmt.value_of(encode(x, fmt, rounding, overflow)) * 2)
    assert any(r.status == "failed" for r in check_format(FORMATS["e2m1fn"], "ml_dtypes"))


@pytest.mark.parametrize("change", [{"scaling": ScaleSpec((1, 32), "ceil", "e8m0fnu")}, {"rounding": "half_away"}, {"format": "e3m2fn"}])
def test_a_wrong_recipe_is_found(change):
    (r,) = check_recipe(replace(RECIPES["mxfp4"], **change), "gfloat")
    assert r.status == "failed" and r.mismatches > 0 and r.first.ours != r.first.theirs


def test_a_known_difference_that_has_gone_is_said_to_be_gone(monkeypatch):
    stale = Divergence("gone", ("ml_dtypes",), "e4m3fn, x > 1", "a", "b", "c", "d", lambda fmt: fmt.name == "e4m3fn", lambda x, fmt, rounding, overflow: x > 1, lambda x, got, fmt: got > 0)
    monkeypatch.setattr(checking, "FORMAT_DIVERGENCES", (stale,))
    found = check_format(FORMATS["e4m3fn"], "ml_dtypes")
    assert all(r.status == "passed" for r in found)
    assert [seen.state for seen in divergences_seen(found).values()] == ["no longer differs"]


def test_a_difference_that_is_not_the_one_described_is_a_mismatch(monkeypatch):
    known = next(each for each in conformance.FORMAT_DIVERGENCES if each.key == "E8M0 of float32 subnormals")
    monkeypatch.setattr(checking, "FORMAT_DIVERGENCES", (replace(known, described=lambda x, got, fmt: got == 1.0),))
    failed = [r for r in check_format(FORMATS["e8m0fnu"], "ml_dtypes") if r.status == "failed"]
    assert failed and failed[0].aspect == "round half_even"


@pytest.mark.parametrize("each", [*conformance.FORMAT_DIVERGENCES, *conformance.RECIPE_DIVERGENCES], ids=lambda each: f"{each.oracles[0]}: {each.key}: {each.where[:30]}")
def test_known_differences_are_met_and_differ_as_described(results, each):
    if any(INSTALLED.get(oracle, "").split("+")[0] != ORACLES[oracle].version for oracle in each.oracles):
        pytest.skip(f"{', '.join(each.oracles)}: not the version that this describes")
    seen = divergences_seen(results)[each]
    assert seen.state == "differs as described"
    assert each.reason and each.source and each.ours != each.theirs


# ---- oracles


@pytest.mark.parametrize("name", ORACLES)
def test_a_missing_oracle_is_reported_and_not_passed(monkeypatch, name):
    if name == "torch":
        pytest.skip("ours is written in torch")
    monkeypatch.setitem(sys.modules, ORACLES[name].module, None)
    subject = {"torchao": "torchao_mxfp4_floor", "compressed-tensors": "compressed_tensors_mxfp4", "modelopt": "modelopt_nvfp4", "bitsandbytes": "nf4", "en_dtypes": "hif8", "steps": "te_current"}.get(name, "float16" if name == "numpy" else "e2m1fn")
    (r,) = conformance.run([subject], [name])
    assert (r.status, r.compared, r.note) == ("not installed", 0, f"not installed: pip install {ORACLES[name].package}=={ORACLES[name].version}")
    assert conformance.installed_version(name) is None


def test_what_no_oracle_has_is_not_passed():
    (r,) = conformance.run(["te_nvfp4_rht"])
    assert (r.status, r.compared, r.oracle) == ("not covered", 0, "")
    (r,) = conformance.run(["table(-1,0,1)"])
    assert r.status == "not covered" and r.note


def test_oracles_are_imported_only_when_they_are_asked():
    code = "import sys, fp8core.conformance; print(sorted({'gfloat', 'en_dtypes', 'torchao', 'compressed_tensors', 'modelopt', 'bitsandbytes'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_rows_name_what_exists():
    for row in RECIPE_ORACLES:
        assert row.recipe in RECIPES and row.oracle in ORACLES
    assert len({(row.recipe, row.oracle) for row in RECIPE_ORACLES}) == len(RECIPE_ORACLES)
    assert all(oracle in ORACLES for oracle in conformance.FORMAT_ORACLES)
    for each in (*conformance.FORMAT_DIVERGENCES, *conformance.RECIPE_DIVERGENCES):
        assert set(each.oracles) <= set(ORACLES)


def test_names_that_mean_nothing_are_refused():
    with pytest.raises(ValueError, match="'mxfp9' is neither a recipe nor a format"):
        conformance.run(["mxfp9"])
    with pytest.raises(ValueError, match="oracle 'pychop' is not one of ml_dtypes, gfloat"):
        conformance.run(["e4m3fn"], ["pychop"])


def test_progress_goes_from_nothing_to_all():
    heard = []
    conformance.run(["e2m1fn", "int4"], ["numpy", "ml_dtypes"], lambda share, name: heard.append((share, name)))
    assert heard == [(0.0, "e2m1fn"), (0.5, "int4"), (1.0, "")]


def test_integers_of_every_width_agree_with_numpy():
    for width in range(2, 17):
        fmt = IntFormat(f"int{width}", width=width)
        assert [r.mismatches for r in check_format(fmt, "numpy")] == [0, 0, 0, 0]


# ---- the command line


def test_the_command_prints_the_grid_and_passes(capsys):
    assert main(["conformance", "--format", "e2m1fn", "--format", "e3m2", "--recipe", "mxfp4", "--oracle", "gfloat", "--oracle", "ml_dtypes"]) == 0
    out = capsys.readouterr().out
    assert "mxfp4" in out and "e3m2" in out and "e8m0fnu" not in out.split("known difference")[0]
    assert " codes and numbers compared, 0 mismatches" in out
    assert "known difference from gfloat, differs as described" in out


def test_the_command_fails_on_a_mismatch(capsys, monkeypatch):
    monkeypatch.setattr(checking, "encode", lambda x, fmt, rounding, overflow: encode(x, fmt, "toward_zero", overflow))
    assert main(["conformance", "--format", "e2m1fn", "--oracle", "ml_dtypes"]) == 1
    out = capsys.readouterr().out
    assert "MISMATCH e2m1fn, ml_dtypes, round half_even" in out and "WRONG" in out


def test_the_command_refuses_bad_names(capsys):
    assert main(["conformance", "--recipe", "mxfp9"]) == 2
    assert main(["conformance", "--format", "e9m9"]) == 2
    with pytest.raises(SystemExit) as stopped:
        main(["conformance", "--oracle", "pychop"])
    assert stopped.value.code == 2
    assert "invalid choice: 'pychop'" in capsys.readouterr().err


def test_the_command_says_what_is_not_installed(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "gfloat", None)
    assert main(["conformance", "--format", "e2m5", "--oracle", "gfloat", "--oracle", "numpy", "--format", "int4"]) == 0
    assert "not installed: pip install gfloat==0.5.2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--recipe", "te_nvfp4_rht"], "no oracle: rotated or rounded at random"),
        (["--format", "hif8", "--oracle", "torch"], "no oracle: none of the oracles asked has it"),
        (["--recipe", "torchao_blockwise_1x128"], "torchao_blockwise_1x128"),
    ],
)
def test_where_nothing_is_compared_the_command_does_not_pass(capsys, arguments, words):
    code = main(["conformance", *arguments])
    said = capsys.readouterr()
    assert words in said.out
    assert code == (0 if "mismatches" in said.out else 2)
    assert code == 0 or "nothing was compared" in said.err
