"""A stretch of binades, held against numpy's plain counts and against the histogram by fate."""

import numpy as np
import pytest
import torch

import fp8core as fp8
from fp8core.distributions import distribution
from fp8core.samples import make_sample
from fp8core.spans import Span, parse_span, part, within

RECIPES = ["tensor_e4m3", "mxfp8_e4m3", "nvfp4", "te_nvfp4_rht", "row_e4m3", "nf4_64", "int8_tensor"]


@pytest.mark.parametrize("text", ["2^-6..2^-2", " 2^−6 .. 2^-2 ", "2^-6..2^+3"])
def test_a_span_is_read_and_written(text):
    span = parse_span(text)
    assert parse_span(str(span)) == span


@pytest.mark.parametrize(("text", "message"), [("2^3", "write two powers of two"), ("2^3..2^3", "is empty"), ("2^4..2^3", "is empty"), ("0.1..2", "write two powers"), ("2^1234..2^1235", "write two powers")])
def test_what_is_no_span_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_span(text)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_numbers_of_a_span_are_those_of_its_bars(recipe):
    x = make_sample("student_t", (128, 128), tail=2)
    x[0, :4] = torch.tensor([0.0, 1.0, -2.0, 0.5])
    q = fp8.quantize(x, recipe)
    bars = distribution(x, q, scaled=True)
    total = sum(bars.counts.values())
    for binade, count in zip(bars.binades.tolist(), total.tolist(), strict=True):
        assert int(within(x, q, Span(binade, binade + 1)).sum()) == count
    span = Span(int(bars.binades[0]), int(bars.binades[-1]) + 1)
    assert fp8.measure(*part(x, q, within(x, q, span))).count == total.sum()


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_part_keeps_codes_and_values(recipe):
    x = make_sample("normal", (64, 128))
    q = fp8.quantize(x, recipe)
    chosen = within(x, q, Span(-1, 2))
    row, of_row = part(x, q, chosen)
    assert torch.equal(of_row.codes, q.codes[chosen].reshape(1, -1)) and 0 < row.numel() < x.numel()
    values = fp8.decode(q.codes, q.recipe.fmt) * (q.element_scale().expand(x.shape))
    assert torch.equal(of_row.dequantize(), values[chosen].reshape(1, -1))
    report = fp8.measure(row, of_row)
    assert np.array_equal(report.code_histogram, np.bincount(q.codes[chosen].numpy().reshape(-1), minlength=1 << q.recipe.fmt.bits))
    error = (row.double() - of_row.dequantize().double()).numpy()
    assert report.sqnr_db == pytest.approx(10 * np.log10((row.double().numpy() ** 2).sum() / (error**2).sum()))
    assert report.signal == pytest.approx((row.double().numpy() ** 2).sum()) and report.noise == pytest.approx((error**2).sum())


def test_zeros_infinity_and_nan_are_in_no_span():
    x = [0.0, float("inf"), float("nan"), 1.0]
    q = fp8.quantize(x, "e5m2")
    assert within(x, q, Span(-300, 300)).tolist() == [[False, False, False, True]]


def test_an_empty_part_is_a_report_of_nothing():
    x = make_sample("normal", (8, 8))
    q = fp8.quantize(x, "tensor_e4m3")
    assert fp8.measure(*part(x, q, within(x, q, Span(90, 91)))).count == 0
