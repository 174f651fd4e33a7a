"""The guided tour: every lesson in both languages, its numbers against fp8core, and what a visitor predicts."""

import json
import re
import statistics
from string import Formatter

import numpy as np
import pytest
from test_frame import CHANGED, ROOT, click_menu, open_page, view_of

import fp8core as fp8
from fp8core.bench import load, recorded_runs
from fp8core.calibration import DelayedScaling, make_steps, simulate
from fp8core.gemm.accumulate import accumulation_growth
from fp8core.gemm.error import random_pair
from fp8core.metrics import measure, sqnr_db
from fp8core.samples import make_sample
from pages.ui.frame import PAGES
from pages.ui.lessons import LESSONS, STEPS, SUMMARY, exhibits, texts, tour
from pages.ui.view import View

README = (ROOT / "README.md").read_text(encoding="utf-8")
LANGUAGES = ("en", "zh")
PATH = "pages/lessons.py"
TEMPLATES = ("question", "reveal", "explain", "task")
NAMES = [f"prediction_{place}" for place in range(4)]


@pytest.fixture(scope="module")
def shown():
    return {lesson: exhibits.show(lesson) for lesson in LESSONS}


def open_lesson(lesson, step=STEPS[0], **more):
    return open_page(PATH, View(lesson=lesson, lesson_step=step, **more).to_query())


def places(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def choices(app) -> list:
    """The buttons of a question; none where it is not asked."""
    return [button for button in app.button if button.key in NAMES]


def chosen(app) -> list[str]:
    return [button.label for button in choices(app) if button.icon == ":material/radio_button_checked:"]


def written(app) -> str:
    return "\n".join(each.value for kind in (app.markdown, app.subheader, app.info, app.success) for each in kind)


@pytest.mark.parametrize("lesson", LESSONS)
def test_texts_of_both_languages_match_each_other_and_the_exhibit(lesson, shown):
    english, chinese = (texts.read(lesson, language) for language in LANGUAGES)
    assert len(english.choices) == len(chinese.choices) >= 3
    for text in (english, chinese):
        assert len(set(text.choices)) == len(text.choices)
        used = set().union(*(places(getattr(text, part)) for part in TEMPLATES), *map(places, text.captions))
        assert used == set(shown[lesson].numbers)
        assert len(text.captions) == len(shown[lesson].figures) and not {text.title, ""} & set(text.captions)
        assert not any(places(words) for words in (text.title, text.link, *text.choices))
        assert not re.search(r"\d\s*(dB|%|ms|倍|times)", text.reveal + text.explain), "a result is computed, never typed"
    for part in TEMPLATES:
        assert places(getattr(english, part)) == places(getattr(chinese, part))
    assert re.search("[\u4e00-\u9fff]", chinese.explain) and not re.search("[\u4e00-\u9fff]", english.explain)


def test_every_file_belongs_to_a_lesson():
    folder = texts.Path(texts.__file__).parent
    assert {path.name for path in folder.glob("*.md")} == {f"{lesson}.{language}.md" for lesson in LESSONS for language in LANGUAGES}


@pytest.mark.parametrize("broken", ["", "no title\n\n## Predict\nq\n\n- a\n\n## Reveal\nr\n\n## Figures\n- f\n\n## Explain\ne\n\n## Try\nt", "# t\n\n## Predict\nq\n\n## Explain\ne\n\n## Figures\n- f\n\n## Reveal\nr\n\n## Try\nt", "# t\n\n## Predict\nq\n\n## Reveal\n\n## Figures\n- f\n\n## Explain\ne\n\n## Try\nt"])
def test_a_file_without_its_sections_is_refused(tmp_path, monkeypatch, broken):
    (tmp_path / "broken.en.md").write_text(broken, encoding="utf-8")
    monkeypatch.setattr(texts, "__file__", str(tmp_path / "texts.py"))
    with pytest.raises(ValueError, match=r"broken\.en\.md: a title, then the sections"):
        texts.read("broken", "en")
    texts.read.cache_clear()


@pytest.mark.parametrize("lesson", LESSONS)
def test_try_it_leads_to_a_page_in_a_legal_state(lesson):
    about = LESSONS[lesson]
    assert about.page in PAGES and about.page != PATH
    assert 0 <= about.right < len(texts.read(lesson, "en").choices)
    view = View(**about.settings, lesson=lesson, lesson_step=STEPS[1])
    assert View.from_query(view.to_query()) == (view, ())


@pytest.mark.parametrize("lesson", LESSONS)
def test_figures_are_small_and_have_titles(lesson, shown):
    for figure in shown[lesson].figures:
        assert len(figure.to_json()) < 200_000
        assert figure.layout.height <= 480
        assert figure.layout.xaxis.title.text or figure.layout.xaxis3.title.text


def test_every_exhibit_is_used():
    assert {about.exhibit for about in LESSONS.values()} == set(exhibits.EXHIBITS)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("lesson", LESSONS)
def test_predict_reveal_explain(lesson, language, monkeypatch, shown):
    monkeypatch.setattr(tour, "language", lambda: language)  # whatever the page itself speaks
    monkeypatch.setattr(tour, "_exhibit", lambda lesson, language: shown[lesson])  # so that the cache keeps no exhibit of one language under another
    text, numbers, right = texts.read(lesson, language), shown[lesson].numbers, LESSONS[lesson].right
    app = open_lesson(lesson)
    assert [button.label for button in choices(app)] == list(text.choices) and not chosen(app)
    assert text.question.format(**numbers) in written(app) and not app.get("plotly_chart")
    choices(app)[right].click().run()
    assert chosen(app) == [text.choices[right]] and f"You predict: **{text.choices[right]}**" in written(app)
    app.button(key="lessons_show").click().run()
    assert not app.exception and not choices(app)
    assert view_of(app).lesson_step == STEPS[1]
    assert len(app.get("plotly_chart")) == len(shown[lesson].figures)
    told = written(app)
    for part in TEMPLATES:
        assert getattr(text, part).format(**numbers) in told
    captions = [caption.value for caption in app.main.caption]
    assert all(any(caption.format(**numbers) in drawn for drawn in captions) for caption in text.captions)
    assert text.choices[right] in app.success[0].value and not app.info
    link = app.main.get("page_link")[0].proto
    assert link.label == text.link and f"lesson={lesson}" in link.query_string


def test_a_wrong_prediction_is_not_told_off_and_can_be_changed():
    app = open_lesson("outlier")
    choices(app)[0].click().run()
    app.button(key="lessons_show").click().run()
    words = texts.read("outlier", "en").choices
    assert words[0] in app.info[0].value and words[3] in app.info[0].value and not app.success
    app.button(key="lessons_previous").click().run()
    assert chosen(app) == [texts.read("outlier", "en").choices[0]]
    choices(app)[3].click().run()
    app.button(key="lessons_next").click().run()
    assert app.success and not app.info


def test_predictions_survive_other_pages_and_are_summed_up():
    app = open_lesson("ulp")
    choices(app)[1].click().run()
    click_menu(app, "pages/formats.py")
    click_menu(app, PATH)
    assert chosen(app) == [texts.read("ulp", "en").choices[1]] and view_of(app).lesson == "ulp"
    app.selectbox(key="lessons_menu").set_value("delayed").run()
    choices(app)[0].click().run()
    app.selectbox(key="lessons_menu").set_value(SUMMARY).run()
    assert not app.exception
    told = written(app)
    assert f"1 of 2 predictions came true. {len(LESSONS) - 2} lessons are still without a prediction." in told
    assert texts.read("ulp", "en").choices[1] in told
    delayed = texts.read("delayed", "en").choices
    assert delayed[0] in told and delayed[LESSONS["delayed"].right] in told
    hidden = texts.read("scale", "en").choices
    assert hidden[LESSONS["scale"].right] not in told, "what was not predicted is not given away"
    links = [each.proto for each in app.main.get("page_link")]
    assert [f"lesson={lesson}" in link.query_string for lesson, link in zip(LESSONS, links, strict=True)] == [True] * len(LESSONS)
    app.button(key="lessons_forget").click().run()
    assert "You have predicted nothing yet." in written(app)


def test_choosing_another_lesson_never_gives_its_answer_away():
    app = open_lesson("eight_bits", STEPS[1])
    app.selectbox(key="lessons_menu").set_value("vanishing").run()
    assert (view_of(app).lesson, view_of(app).lesson_step) == ("vanishing", STEPS[0])
    assert choices(app)


def test_next_goes_through_everything_and_back():
    app = open_page(PATH, {})
    seen = [(view_of(app).lesson, view_of(app).lesson_step)]
    assert app.button(key="lessons_previous").disabled
    while not app.button(key="lessons_next").disabled:
        app.button(key="lessons_next").click().run()
        assert not app.exception
        seen.append((view_of(app).lesson, view_of(app).lesson_step))
    assert tuple(seen) == tour.STOPS
    app.button(key="lessons_previous").click().run()
    assert (view_of(app).lesson, view_of(app).lesson_step) == tour.STOPS[-2]


@pytest.mark.parametrize("hostile", ["../../etc/passwd", "__init__", "<b>x</b>", "ulp\x00", "a" * 5000])
def test_a_hostile_lesson_in_a_link_opens_the_first_one_and_says_so(hostile):
    app = open_page(PATH, {"lesson": hostile, "lesson_step": "reveal"})
    assert view_of(app).lesson == next(iter(LESSONS))
    assert app.warning[0].value.startswith("lesson = ") and "<b>" not in app.warning[0].value


def test_the_summary_opens_at_any_step_and_a_link_keeps_the_rest_of_the_view():
    told = written(open_lesson(SUMMARY, STEPS[1]))
    assert "You have predicted nothing yet." in told and "without a prediction" not in told
    query = CHANGED.to_query() | {"lesson": "ue8m0"}
    assert view_of(open_page(PATH, query)).source == CHANGED.source


def test_the_overview_leads_to_the_lessons():
    links = [each.proto for each in open_page("app.py").main.get("page_link")]
    assert any(str(len(LESSONS)) in link.label and "short lessons" in link.label for link in links)


def test_the_plan_of_the_readme_takes_45_minutes_and_leads_to_every_lesson():
    rows = re.findall(r"^\| (\d+) \| `/lessons\?lesson=(\w+)` \|", README, re.MULTILINE)
    assert [lesson for _, lesson in rows] == [*LESSONS, SUMMARY]
    assert sum(int(minutes) for minutes, _ in rows) == 45


# What the lessons claim, computed once more, by another way than the exhibits where there is one.


def test_eight_bits(shown):
    values = {value for value in fp8.parse_format("e4m3fn").values if np.isfinite(value)}
    inside = sum(-1 <= value <= 1 for value in values)
    n = shown["eight_bits"].numbers
    assert (n["values"], n["inside"], n["nan_codes"], n["max"]) == (len(values), inside, 2, 448.0) == (253, 113, 2, 448.0)
    assert 40 < n["share"] < 50 and LESSONS["eight_bits"].right == 2
    assert n["other_inside"] == 1


def test_eight_bits_are_drawn_on_the_axis_that_the_text_speaks_of(shown):
    figure = shown["eight_bits"].figures[0]
    assert [max(trace.x) for trace in figure.data] == [448, 448] and min(figure.data[0].x) == -448
    low, high = (float(figure.layout.shapes[0][end]) for end in ("x0", "x1"))
    assert (low, high) == (-1, 1) and sum(low <= x <= high for x in figure.data[0].x) == shown["eight_bits"].numbers["inside"]
    assert ["253 values" in name for name in figure.layout.yaxis.ticktext] == [True, False]


def test_e4m3_against_e5m2(shown):
    first, second = (fp8.parse_format(name) for name in ("e4m3fn", "e5m2"))
    n = shown["e4m3_e5m2"].numbers
    assert n["ratio"] == second.max / first.max == 128
    assert f"{n['ratio']:g} times" == texts.read("e4m3_e5m2", "en").choices[LESSONS["e4m3_e5m2"].right]
    assert n["wide_binades"] == 261, "exponents from -133 to 127"
    assert (n["first_per_binade"], n["second_per_binade"], n["first_precision"], n["second_precision"]) == (8, 4, 6.25, 12.5)


def test_as_many_numbers_in_every_binade(shown):
    values = fp8.parse_format("e4m3fn").finite_values
    n = shown["log_line"].numbers
    assert n["near_count"] == n["far_count"] == ((values >= 128) & (values < 256)).sum() and LESSONS["log_line"].right == 0
    assert (n["near_step"], n["far_step"], n["far_low"] / n["near_low"]) == (0.125, 16.0, 128)


def test_rounding(shown):
    n = shown["ulp"].numbers
    assert n["first_value"] == fp8.round_to([400.0], "e4m3fn")[0] == float(texts.read("ulp", "en").choices[LESSONS["ulp"].right])
    assert n["second_value"] == fp8.round_to([0.1], "e4m3fn")[0] and n["first_error_ulps"] == 0.5


def test_the_scale_that_decodes(shown):
    x = make_sample("weights", (exhibits.SIDE, exhibits.SIDE))
    n, amax = shown["scale"].numbers, float(x.abs().max())
    assert n["decode_scale"] == pytest.approx(amax / 448, rel=1e-6) and n["encode_scale"] == pytest.approx(448 / amax, rel=1e-6)
    values = fp8.decode(fp8.quantize(x, "tensor_e4m3").codes, "e4m3fn")
    assert (values * n["decode_scale"] - x).abs().max() < 0.05 * amax < (values * n["encode_scale"] - x).abs().max()
    assert LESSONS["scale"].right == 1 and "weight_scale_inv" in texts.read("scale", "en").choices[1]


def test_one_outlier(shown):
    n = shown["outlier"].numbers
    x, planted = (make_sample("normal", (exhibits.SIDE, exhibits.SIDE), outlier=each) for each in (1, n["factor"]))
    others = x == planted
    for name, share in (("int8_tensor", n["int_zero"]), ("tensor_e4m3", n["float_zero"])):
        left = fp8.quantize(planted, name).dequantize()[others]
        assert share == pytest.approx(100 * float((left == 0).double().mean()))
    assert n["int_zero"] > 95 and n["float_zero"] < 1 and abs(n["float_db"] - 31.5) < 0.5 and LESSONS["outlier"].right == 3
    def sqnr(factor):
        planted = make_sample("normal", (exhibits.SIDE, exhibits.SIDE), outlier=factor)
        return sqnr_db(x[x == planted], fp8.quantize(planted, "tensor_e4m3").dequantize()[x == planted])

    assert sqnr(n["float_falls"]) < sqnr(1) - n["fall"] < sqnr(n["float_falls"] / 3), "the size before it, a third, has lost less"
    assert n["block_db"] > 25


def test_granularity(shown):
    n = shown["granularity"].numbers
    order = [n["first_tensor"], n["first_row"], n["first_block"], n["first_column"]]
    assert order == sorted(order) and order[-1] - order[-2] > 6 and LESSONS["granularity"].right == 3
    assert n["second_most"] - n["second_least"] < 2


def test_delayed(shown):
    steps = simulate(make_steps("spike"), DelayedScaling("e4m3fn", 16, "max"))
    n = shown["delayed"].numbers
    assert n["clipped"] == 100 * steps[32].saturation > 95 and LESSONS["delayed"].right == 2
    assert n["after_db"] == pytest.approx(statistics.mean(step.sqnr_db for step in steps[33:49])) and abs(n["after_db"] - n["usual_db"]) < 1
    assert n["after_flushed"] < 5 and n["current_db"] > 30
    assert LESSONS["delayed"].settings["step"] == 32


def test_scale_rules_change_places(shown):
    x = make_sample("normal", (exhibits.SIDE, exhibits.SIDE))
    rules = LESSONS["mx_rules"].arguments["rules"]
    found = {name: {rule: measure(x, fp8.quantize(x, f"{name}:1x32:{rule}:e8m0fnu")).sqnr_db for rule in rules} for name in ("e4m3fn", "e2m1fn")}
    assert max(found["e4m3fn"].values()) == pytest.approx(found["e4m3fn"]["ceil"]) and min(found["e2m1fn"].values()) == found["e2m1fn"]["ceil"]
    assert measure(x, fp8.quantize(x, "e4m3fn:1x32:ceil:e8m0fnu")).saturation == 0
    n = shown["mx_rules"].numbers
    assert (n["first_ceil"], n["second_ceil"], n["second_even"]) == (found["e4m3fn"]["ceil"], found["e2m1fn"]["ceil"], found["e2m1fn"]["even"]) and LESSONS["mx_rules"].right == 0
    assert n["rules"] == 5, "the titles say five"
    bars, curves = shown["mx_rules"].figures
    assert [trace.name for trace in curves.data] == list(bars.data[0].x) == list(rules), "a rule has one name in both figures"
    most = {trace.name: np.log2(max(trace.y)) for trace in curves.data}
    assert n["ceil_unused"] == pytest.approx(1.6, abs=0.05) and most["ceil"] - most["floor"] == pytest.approx(1, abs=0.01)


def test_ue8m0(shown):
    x = make_sample("weights", (exhibits.SIDE, exhibits.SIDE))
    scales = fp8.quantize(x, "deepseek_v3_128x128_ue8m0")
    assert np.isin(np.frexp(np.asarray(scales.scale))[0], 0.5).all() and scales.recipe.format == "e4m3fn"
    n = shown["ue8m0"].numbers
    assert n["lost"] == pytest.approx(100 * float((x < 0).double().mean())) and n["ue8m0_scales"] > 31 > 15 > n["signed"]
    assert n["exponents"] == 255 and LESSONS["ue8m0"].right == 1


def test_vanishing_gradients(shown):
    x = make_sample("lognormal_gradient", (exhibits.SIDE, exhibits.SIDE))
    report = measure(x, fp8.quantize(x, "tensor_e4m3"))
    n = shown["vanishing"].numbers
    assert (n["first_db"], n["first_flushed"]) == (report.sqnr_db, 100 * report.underflow)
    assert 35 < n["first_flushed"] < 45 and LESSONS["vanishing"].right == 3
    assert n["first_db"] > max(n["second_db"], n["third_db"]) and max(n["second_flushed"], n["third_flushed"]) < 1


def test_few_bits(shown):
    n = shown["fp6_fp4"].numbers
    assert (n["count"], n["list"]) == (7, "0.5, 1, 1.5, 2, 3, 4, 6")
    assert n["gain"] == n["two_level_db"] - n["four_db"] and 8 < n["gain"] < 12 and LESSONS["fp6_fp4"].right == 2
    assert n["six_db"] > n["wide_six_db"] and n["eight_db"] - n["six_db"] < 1


def test_speed(shown):
    results = {r.case.recipe: r for r in load(recorded_runs()["amd-epyc-2-threads-1024"])}
    n = shown["speed"].numbers
    assert results["tensor_e4m3"].kind == "emulated" and n["times"] == pytest.approx(1 / results["tensor_e4m3"].speedup_bfloat16)
    assert n["times"] > 2 and LESSONS["speed"].right == 2
    assert n["few_intensity"] < n["ridge"] < n["many_intensity"] and min(n["few_gain"], n["many_gain"]) > 1.8


def test_accumulators(shown):
    about, n = LESSONS["accumulators"], shown["accumulators"].numbers
    a, b = random_pair(32, 32, 4096, 0, 1)
    found = accumulation_growth(a, b, "tensor_e4m3", ["hopper_fp8", "hopper_fp8_128"], [4096])
    assert [n["positive_plain"], n["positive_promoted"]] == [100 * e.relative_error for e in found]
    assert 2 < n["positive_plain"] < 5 and about.right == 2
    assert n["positive_promoted"] < 0.05 < n["signed_plain"] < 1 and n["positive_rounding"] < n["positive_plain"]
    assert (n["bits"], n["promotion"]) == (13, 128)
    assert json.loads(shown["accumulators"].figures[0].to_json())["data"]
