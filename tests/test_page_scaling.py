"""The topics of the scaling page: all rules, NVFP4 inside, rows against columns."""

import json

import numpy as np
import pytest
from test_frame import open_page
from test_page_distributions import npy

import fp8core as fp8
from fp8core.anatomy import anatomy, pick_block, scale_counts
from fp8core.compare import difference
from fp8core.directions import directions, transposed
from fp8core.recipes import LIBRARIES
from fp8core.rules import GENERIC_RULES, SCALE_RULES
from fp8core.samples import make_sample
from pages.ui.number_tables import percent
from pages.ui.topics import directions as directions_topic
from pages.ui.topics import rules as rules_topic
from pages.ui.view import CONTROLS, TWO_LEVEL_RECIPES

PATH = "pages/scaling.py"
ODD = "digits/output.weight"


def opened(topic: str, **values):
    return open_page(PATH, {"topic": topic, "size": "65536"} | {name: str(value) for name, value in values.items()})


def sample():
    return make_sample("student_t", (256, 256), seed=3, outlier=100, tail=2)


SAMPLE = {"source": "student_t", "seed": 3, "outlier": 100, "tail": 2}


def table(app, key: str):
    """The table that has this column."""
    return next(frame.value for frame in app.dataframe if key in frame.value.columns)


def figures(app) -> list[dict]:
    return [json.loads(element.proto.spec) for element in app.get("plotly_chart")]


def test_every_recipe_has_its_row_and_the_numbers_are_those_of_fp8core():
    app = opened("rules", **SAMPLE)
    rows = table(app, "source").set_index("name")
    assert list(rows.index) == list(fp8.RECIPES)
    x = sample()
    for name in ("mxfp4", "te_nvfp4", "deepseek_v3_1x128", "torchao_int8_per_row", "ue8m0_element", "te_nvfp4_sr"):
        report = fp8.measure(x, fp8.quantize(x, name, seed=0))
        assert rows.loc[name, "SQNR (dB)"] == round(report.sqnr_db, 2)
        assert rows.loc[name, "flushed (%)"] == round(100 * report.underflow, 4)
        assert rows.loc[name, "lost"] == report.lost
        assert rows.loc[name, "bits per number"] == round(report.bits_per_value, 4)
    dots = sum(len(trace["customdata"]) for trace in figures(app)[0]["data"])
    assert dots >= sum(recipe.fmt.bits <= 9 for recipe in fp8.RECIPES.values()) - 2


def test_one_library_alone():
    app = opened("rules", library="DeepSeek")
    assert set(table(app, "source")["library"]) == {"DeepSeek"}
    assert len(table(app, "source")) == len(LIBRARIES["DeepSeek"])


def test_disagreement_is_counted_against_the_plain_recipe_of_the_name():
    app = opened("rules", **SAMPLE)
    rows = table(app, "codes that differ")
    x = sample()
    for row, name in ((rows[rows["recipe"] == "torchao MXFP8 rceil"], "torchao_mxfp8_rceil"), (rows[rows["recipe"] == "TE NVFP4BlockScaling"], "te_nvfp4")):
        plain = {"torchao_mxfp8_rceil": "mxfp8_e4m3", "te_nvfp4": "nvfp4"}[name]
        found = difference(fp8.quantize(x, name), fp8.quantize(x, plain))
        assert (row["codes that differ"].item(), row["scales that differ"].item()) == (found.codes, found.scales)
    for first in rules_topic.NAMES.values():
        assert rows[rows["recipe"] == fp8.RECIPES[first].title]["codes that differ"].item() == 0
        assert len(rules_topic.namesakes(first)) >= 3


@pytest.mark.parametrize("rule", SCALE_RULES)
def test_every_rule_has_its_small_print(rule):
    text = rules_topic.small_print(rule)
    assert len(text) > 10
    assert "Source" not in text


def test_the_menu_of_rules_has_the_generic_ones():
    assert CONTROLS["rule"].listed() == GENERIC_RULES
    assert all(SCALE_RULES[rule].compute is None for rule in GENERIC_RULES)


def test_ue8m0_as_the_element_is_set_against_the_scale():
    app = opened("rules", **SAMPLE)
    x = sample()
    said = next(text.value for text in app.markdown if "DeepSeek-V3.1 stores its **scales**" in text.value)
    assert f"{fp8.measure(x, fp8.quantize(x, 'ue8m0_element')).lost:,}" in said
    assert f"{fp8.measure(x, fp8.quantize(x, 'deepseek_v3_1x128_ue8m0')).sqnr_db:.2f} dB" in said
    assert f"{fp8.measure(x, fp8.quantize(x, 'signed_e8m0_element')).sqnr_db:.2f} dB" in said


@pytest.mark.parametrize("recipe", TWO_LEVEL_RECIPES)
def test_one_block_of_nvfp4(recipe):
    app = opened("nvfp4", two_level=recipe, block=37, **SAMPLE)
    x = sample()
    q = fp8.quantize(x, recipe, seed=0)
    part = anatomy(x, q, 37)
    rows = table(app, "x / scale")
    row, first = divmod(37, 256 // 16)
    inside = slice(16 * first, 16 * first + 16)
    assert rows["x"].tolist() == x[row, inside].tolist()
    assert rows["x̂"].tolist() == q.dequantize()[row, inside].tolist()
    assert rows["code"].tolist() == [f"0x{code:X}" for code in q.codes[row, inside].tolist()]
    steps = next(text.value for text in app.markdown if "global scale" in text.value)
    assert f"0x{int(q.scale_codes[row, first]):02X}" in steps
    assert f"**{float(q.global_scale):.6g}**" in steps
    assert f"**{part.scale:.6g}**" in steps
    bars = figures(app)[1]["data"]
    assert len(bars) == 4
    counts = scale_counts(x, q)
    assert counts.counts.sum() + counts.zero + counts.empty == counts.blocks == q.scale_codes.numel()


def test_blocks_of_interest():
    x = sample()
    q = fp8.quantize(x, "nvfp4")
    for pick in ("largest", "smallest", "worst"):
        app = opened("nvfp4", pick=pick, **SAMPLE)
        assert any(f"Block {pick_block(x, q, pick)} of " in header.value for header in app.subheader)


@pytest.mark.parametrize(("fmt", "granularity"), [("e4m3fn", "row"), ("int4", "1x32"), ("e2m1fn", "tensor"), ("e5m2", "none")])
def test_rows_and_columns(fmt, granularity):
    app = opened("directions", format=fmt, granularity=granularity, **SAMPLE)
    x = sample()
    recipe = fp8.parse_recipe(fmt if granularity == "none" else f"{fmt}:{granularity}")
    if granularity in ("none", "tensor"):
        assert app.info
        app.button(key="directions_1x32").click().run()
        assert not app.info
        assert app.query_params["granularity"] == "1x32"
        recipe = fp8.parse_recipe(f"{fmt}:1x32")
    rows = table(app, "scales")
    for at, each in enumerate((recipe, transposed(recipe))):
        report = fp8.measure(x, fp8.quantize(x, each))
        assert rows["SQNR (dB)"][at] == round(report.sqnr_db, 2)
        assert rows["flushed (%)"][at] == round(100 * report.underflow, 4)
    found = directions(x, recipe).difference
    assert any(metric.value == percent(found.share) for metric in app.metric)
    assert len(table(app, "differ from the transpose (%)")) == len(directions_topic.SIDES) * len(directions_topic.ELEMENTS) * 2


def test_square_blocks_have_no_direction():
    rows = table(opened("directions", granularity="1x32", **SAMPLE), "differ from the transpose (%)")
    square = rows["block"].isin([f"{side} × {side}" for side in directions_topic.SIDES])
    assert (rows[square]["differ from the transpose (%)"] == 0).all()
    assert (rows[~square]["differ from the transpose (%)"] > 0).all()


@pytest.mark.parametrize("topic", ["rules", "nvfp4", "directions"])
@pytest.mark.parametrize(
    "values",
    [
        {"source": ODD, "format": "int4", "granularity": "1x128"},
        {"source": "relu", "format": "tfloat32", "granularity": "none"},
        {"source": "laplace", "format": "binary8p1uf", "granularity": "row", "scale_format": "e8m0fnu", "rounding": "stochastic"},
    ],
    ids=lambda values: values["format"],
)
def test_every_topic_draws(topic, values):
    has_no_direction = topic == "directions" and values["granularity"] == "none"
    assert len(opened(topic, **values).get("plotly_chart")) == 2 - has_no_direction


@pytest.mark.parametrize("topic", ["rules", "nvfp4", "directions"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_nan_infinity_and_zeros_in_an_upload_are_drawn(topic, bad):
    x = np.random.default_rng(0).standard_normal((9, 50)).astype(np.float32)
    x[0, :3], x[1] = bad, 0.0
    app = opened(topic, library="NVIDIA NVFP4", granularity="row")
    for array in (x, np.full((3, 5), bad, np.float32)):
        app.file_uploader[0].set_value(("mine.npy", npy(array), "application/octet-stream")).run()
        assert not app.exception
        for recipe in ("te_nvfp4", "torchao_nvfp4") if topic == "nvfp4" else ():
            app.selectbox(key="two_level").set_value(recipe).run()
            assert not app.exception


def test_a_large_tensor_is_cut_for_the_table_of_all_rules_and_the_page_says_so():
    app = open_page(PATH, {"topic": "rules", "size": "1048576", "library": "bitsandbytes"})
    assert any("first 256 rows, 262,144 numbers" in caption.value for caption in app.caption)
    x = make_sample("normal", (1024, 1024), seed=0)[:256]
    assert table(app, "source")["SQNR (dB)"][0] == round(fp8.measure(x, fp8.quantize(x, "nf4_64")).sqnr_db, 2)


@pytest.mark.parametrize(("preset", "framed"), [("by_hand", True), ("nvfp4", False)])
def test_a_pair_is_framed_only_where_one_is_in_force(preset, framed):
    app = opened("grid", source="weights", preset=preset)
    matrix = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert bool(matrix["layout"].get("shapes")) == framed
    assert any("The frame marks the pair" in each.value for each in app.caption) == framed
    assert any("it need not be one of these pairs" in each.value for each in app.caption) != framed
