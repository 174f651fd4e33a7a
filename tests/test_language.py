"""Every text that a visitor can read has a Chinese one, and no Chinese one is of a text that nobody says."""

import ast
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest
from google.protobuf.json_format import MessageToDict
from streamlit.testing.v1 import AppTest

import fp8core as fp8
from fp8core import conformance
from fp8core.bench import BenchCase, load_note, recorded_runs, run_many
from fp8core.bench.devices import DEVICES
from fp8core.bench.record import KINDS as BENCH_KINDS
from fp8core.bench.shapes import MODELS as SHAPES
from fp8core.calibration import CALIBRATIONS, SCENARIOS
from fp8core.checkpoints import CheckpointError, TensorInfo, open_checkpoint
from fp8core.codec import OVERFLOWS, ROUNDINGS
from fp8core.formats import FAMILIES, FORMATS, parse_format
from fp8core.gemm import ACCUMULATORS
from fp8core.layers.kinds import KINDS, why_not
from fp8core.models import MODELS
from fp8core.number import explain
from fp8core.packed import LAYOUTS
from fp8core.packed.families import FAMILIES as FAMILIES_WRITTEN
from fp8core.plan import EXPORTS, cautions, parse_line
from fp8core.plan.cautions import STACKED
from fp8core.recipes import LIBRARIES, RECIPES
from fp8core.reinterpret import MEANINGS
from fp8core.rotation import ROTATIONS
from fp8core.rules import SCALE_RULES
from fp8core.samples import SAMPLES
from fp8core.scaling import GRANULARITIES, SCALE_FORMATS
from pages.ui import frame, language
from pages.ui.controls import Choice, Text
from pages.ui.frame import PAGES
from pages.ui.language import CATALOGUES, LANGUAGES, told, tr, use_language
from pages.ui.topics import directions, layers_model, rules
from pages.ui.view import CONTROLS
from pages.ui.whole_models import NEEDS_INPUTS

ROOT = Path(__file__).resolve().parents[1]
DRAWN = [ROOT / "app.py", *sorted((ROOT / "pages").rglob("*.py"))]
CORE = sorted((ROOT / "fp8core").rglob("*.py"))
CHINESE = CATALOGUES["zh"]
PLACES = re.compile(r"%?\{+[^{}]*\}+")
CJK = re.compile("[一-鿿]")
SENTENCE = re.compile(r"(?:\b[a-z]{2,}[ ,;]+){3,}\b[a-z]{2,}")

# What only the command line, the benchmark of kernels and a cluster say.
UNSEEN = ("__main__.py", "console.py", "bench/command.py", "bench/kernel_jobs.py", "bench/kernels.py", "bench/peers.py", "bench/goals.py", "bench/plain_reports.py", "layers/cluster.py", "layers/command.py", "layers/row_file.py", "plan/command.py", "kernels/")
# Said of what a page can show, but put together of several literals, or by the operating system.
PIECED = {
    "CPU, emulated", "CPU, native", "CPU, refused", "GPU, emulated", "GPU, native", "GPU, refused", "Is a directory", "No such file or directory", "Permission denied", "{0}, changed by hand", "{0} hardware threads",
    *(f"{{0}}, {{1}} hardware {threads}, {rest}" for threads in ("thread", "threads") for rest in ("torch {2}", "{2}, torch {3}")),
    *(f"{{0}} has 16 bits as BF16 has, so that neither bytes nor work are saved; it {takes} {{1}}." for takes in ("is", "takes")),
    *(f"{{0}} has {{1}} bits where BF16 has 16: more bytes and wider units; it {takes} {{2}}." for takes in ("is", "takes")),
    "; ".join(FAMILIES_WRITTEN.values()), "; ".join(FAMILIES_WRITTEN[form] for form in STACKED),
}  # fmt: skip
# Words of names, which stay as they are: of libraries, of what they call their recipes, of scale rules.
NAMES = {
    "torchao", "compressed", "tensors", "bitsandbytes", "rowwise", "tensorwise", "blockwise", "delayed", "current", "training", "inference", "floor", "ceil", "rceil", "even", "maxabs", "hw", "arbitrary",
    "amax", "max", "log", "mma", "reference", "automatic",
}  # fmt: skip


@pytest.fixture(autouse=True)
def english():
    yield
    use_language("en")


def calls(path: Path, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


def spoken() -> set[str]:
    """Every literal that passes through `tr`."""
    return {call.args[0].value for path in DRAWN for call in calls(path, "tr") if isinstance(call.args[0], ast.Constant)}


def template(node: ast.expr) -> str | None:
    """A literal or an f-string as a key of the catalogue; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if not isinstance(node, ast.JoinedStr):
        return None
    places = iter(range(len(node.values)))
    return "".join(part.value.replace("{", "{{").replace("}", "}}") if isinstance(part, ast.Constant) else f"{{{next(places)}}}" for part in node.values)


def raised() -> set[str]:
    """The message of every error of fp8core that a page can show."""
    seen = [path for path in CORE if not path.relative_to(ROOT / "fp8core").as_posix().startswith(UNSEEN)]
    errors = [node.exc.args[0] for path in seen for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args]
    return {key for key in map(template, errors) if key}


def controls() -> set[str]:
    words = {each for about in CONTROLS.values() for each in (about.label, about.group, about.help)}
    words |= {about.rule for about in CONTROLS.values() if isinstance(about, Text)}
    return words | {about.title(option) for name, about in CONTROLS.items() if isinstance(about, Choice) and name not in ("source", "lesson", "lesson_step") for option in about.listed()} | {each.label for each in SAMPLES.values()}


def pages() -> set[str]:
    return {words for page in PAGES.values() for words in (page.title, page.question)}


REACHES = {
    ("app.py", "about.title"): pages, ("app.py", "about.question"): pages,
    ("pages/ui/frame.py", "about.title"): pages, ("pages/ui/frame.py", "about.question"): pages, ("pages/ui/frame.py", "each.title"): pages,
    ("pages/ui/widgets.py", "about.label"): controls, ("pages/ui/widgets.py", "about.help"): controls, ("pages/ui/frame.py", "group"): controls,
    ("pages/ui/frame.py", "label"): lambda: {label for _, label, *_ in frame._TABLE_FILES},
    ("pages/ui/accumulations.py", "name"): lambda: ("rms error (%)", "mean error (%)", "largest error (%)"),
    ("pages/ui/accumulations.py", "chosen[e.accumulator].title"): lambda: {each.title for each in ACCUMULATORS.values()} | {"a unit of your own"},
    ("pages/ui/accumulations.py", "chosen[e.accumulator].source"): lambda: {each.source for each in ACCUMULATORS.values()} | {"the settings above"},
    ("pages/ui/charts/matmul.py", "unit.title"): lambda: {each.title for each in ACCUMULATORS.values()},
    **{(file, expression): lambda: {each.title for each in CALIBRATIONS.values()} for file, expression in (
        ("pages/ui/calibrations.py", "CALIBRATIONS[method].title"), ("pages/ui/calibrations.py", "CALIBRATIONS[best.method].title"), ("pages/ui/calibrations.py", "about.title"),
        ("pages/ui/charts/calibration.py", "CALIBRATIONS[method].title"), ("pages/ui/charts/calibration.py", "CALIBRATIONS[c.method].title"),
    )},
    ("pages/ui/calibrations.py", "about.formula"): lambda: {each.formula for each in CALIBRATIONS.values()},
    ("pages/ui/calibrations.py", "about.effect"): lambda: {each.effect for each in CALIBRATIONS.values()},
    **{(file, expression): lambda: {each.label for each in MODELS.values()} for file, expression in (
        ("pages/ui/calibrations.py", "MODELS[view.model].label"), ("pages/ui/calibrations.py", "MODELS[model].label"), ("pages/ui/layer_sources.py", "MODELS[view.model].label"),
    )},
    ("pages/ui/tensor_reports.py", "SAMPLES[view.source].label"): lambda: {each.label for each in SAMPLES.values()},
    ("pages/ui/charts/benchmark.py", "r.kind"): lambda: BENCH_KINDS,
    ("pages/ui/charts/benchmark.py", "point.how"): lambda: {"modelled", *(f"measured, {kind}" for kind in BENCH_KINDS)},
    ("pages/ui/measurements.py", "point.how"): lambda: {"modelled", *(f"measured, {kind}" for kind in BENCH_KINDS)},
    ("pages/ui/charts/conformance.py", "name"): lambda: {*FAMILIES, *LIBRARIES}, ("pages/ui/charts/rules.py", "library"): lambda: LIBRARIES,
    ("pages/ui/topics/rules.py", "library"): lambda: LIBRARIES, ("pages/ui/topics/rules.py", "name"): lambda: rules.NAMES,
    ("pages/ui/topics/rules.py", "rule.effect"): lambda: {each.effect for each in SCALE_RULES.values()},
    ("pages/ui/topics/rules.py", "SCALE_RULES[rule].title"): lambda: {each.title for each in SCALE_RULES.values()},
    ("pages/ui/topics/rules.py", "ROUNDINGS[recipe.rounding]"): lambda: {ROUNDINGS[each.rounding] for each in RECIPES.values()},
    ("pages/ui/conformance_reports.py", "kind"): lambda: ("format", "recipe"), ("pages/ui/conformance_reports.py", "r.kind"): lambda: ("format", "recipe"),
    ("pages/ui/conformance_reports.py", "r.status"): lambda: conformance.STATUSES,
    ("pages/ui/conformance_reports.py", "name.replace('_', ' ')"): lambda: ("implementation", "where", "ours", "theirs", "why", "source", "found here", "installed", "trusted for", "what it is"),
    ("pages/ui/conformance_reports.py", "seen[each].state"): lambda: ("found", "gone"),
    ("pages/ui/layer_reports.py", "row['kind']"): lambda: KINDS, ("pages/ui/readings.py", "words"): lambda: MEANINGS.values(),
    ("pages/ui/charts/scaling.py", "row"): lambda: GRANULARITIES, ("pages/ui/topics/grid.py", "granularity"): lambda: GRANULARITIES,
    ("pages/ui/topics/delayed.py", "SCENARIOS[view.scenario].title"): lambda: {each.title for each in SCENARIOS.values()},
    ("pages/ui/topics/delayed.py", "SCENARIOS[view.scenario].description"): lambda: {each.description for each in SCENARIOS.values()},
    ("pages/ui/topics/directions.py", "name"): lambda: directions.ELEMENTS.values(), ("pages/ui/topics/layers_model.py", "name"): lambda: layers_model._METRICS.values(),
    ("pages/ui/topics/layers_model.py", "_METRICS[key]"): lambda: layers_model._METRICS.values(), ("pages/ui/topics/layers_plan.py", "export.title"): lambda: {each.title for each in EXPORTS.values()},
    ("pages/ui/topics/layers_plan.py", "LAYOUTS[key].title"): lambda: {each.title for each in LAYOUTS.values()}, ("pages/ui/whole_models.py", "NEEDS_INPUTS"): lambda: (NEEDS_INPUTS,),
}  # fmt: skip


def registered() -> set[str]:
    """What `told` is given of the registries."""
    found = {words for each in (*FORMATS.values(), parse_format("e3m4"), parse_format("table(0,1)")) for words in (each.title, each.use, each.source)} | {words for each in RECIPES.values() for words in (each.title, each.source)}
    found |= {words for each in SCALE_RULES.values() for words in (each.title, each.formula, each.effect)} | {rules.small_print(each) for each in SCALE_RULES}
    found |= {each.title for each in (*SCALE_FORMATS.values(), *ROTATIONS.values())} | set(OVERFLOWS.values()) | set(ROUNDINGS.values()) | {each.source for each in (*CALIBRATIONS.values(), *DEVICES.values())}
    found |= {layer.layer for model in SHAPES.values() for layer in model.layers} | {load_note(path) for path in recorded_runs().values()}
    found |= {words for each in (*conformance.FORMAT_DIVERGENCES, *conformance.RECIPE_DIVERGENCES) for words in (each.where, each.ours, each.theirs, each.reason, each.source)}
    found |= {words for each in conformance.ORACLES.values() for words in (each.trusted_for, each.source, each.advice)} | set(conformance.ASPECTS)
    return found - {""}


HALF_WIDTH = re.compile(r"[\u4e00-\u9fff][*]*[:;,?!] |[。：；，] ?[*]* [\u4e00-\u9fff]|您")  # marks of English prose within Chinese, and the polite form that the rest does not use


def english_in(text: str) -> bool:
    """Whether a text has an English sentence in it: four words in a row, and nothing Chinese."""
    return bool(SENTENCE.search(text)) and not CJK.search(text)


def test_every_literal_has_a_chinese_text():
    assert not spoken() - CHINESE.keys()


def test_every_place_where_a_value_reaches_tr_is_known_here():
    sites = {(path.relative_to(ROOT).as_posix(), ast.unparse(call.args[0])) for path in DRAWN for call in calls(path, "tr") if not isinstance(call.args[0], ast.Constant)}
    assert sites == REACHES.keys()


@pytest.mark.parametrize("site", REACHES, ids=" ".join)
def test_what_reaches_tr_as_a_value_has_a_chinese_text(site):
    use_language("zh")
    untold = [words for words in REACHES[site]() if told(words) == words and not CJK.search(words)]
    assert [words for words in untold if {*re.findall(r"(?<![\w.])[a-z]{3,}(?![\w.(])", words)} - NAMES] == []


def test_what_registries_say_has_a_chinese_text():
    use_language("zh")
    assert [words for words in sorted(registered()) if english_in(told(words))] == []


def test_every_error_that_a_page_can_show_has_a_chinese_text():
    assert not {key for key in raised() if key not in CHINESE}


def test_no_chinese_text_is_of_something_that_nobody_says():
    said = spoken() | PIECED | controls() | registered() | {words for reach in REACHES.values() for words in reach()}
    said |= {key for path in CORE + DRAWN for key in map(template, ast.walk(ast.parse(path.read_text(encoding="utf-8")))) if key}
    templates = [tuple(re.split(r"\{\d+\}", key)) for key in said if "{0}" in key and len(PLACES.sub("", key)) > 7]
    assert [key for key in CHINESE if key not in said and key.removeprefix("{0}: ") not in said and not any(made_of(key, literals) for literals in templates)] == []


def made_of(key: str, literals: tuple[str, ...]) -> bool:
    """Whether a key is a template of the source with some of its values in it, or with the name of a file before it."""
    return any(language._values(literals, each) is not None for each in (key, key.removeprefix("{0}: ")))


@pytest.mark.parametrize("name", [key for key in LANGUAGES if key != "en"])
def test_a_catalogue_is_sorted_and_has_one_entry_per_line(name):
    text = (ROOT / f"pages/ui/catalogues/{name}.json").read_text(encoding="utf-8")
    assert text == json.dumps(dict(sorted(CATALOGUES[name].items())), ensure_ascii=False, indent=0) + "\n"
    assert all(CATALOGUES[name].values())


class Anything:
    def __format__(self, spec):
        return "1"


def test_both_texts_have_the_same_places_for_values():
    for key, chinese in CHINESE.items():
        assert set(PLACES.findall(key)) == set(PLACES.findall(chinese)), key
        fields = {name for _, name, _, _ in Formatter().parse(chinese) if name is not None} if "%{" not in chinese else set()
        if fields:
            assert "{" not in chinese.format(*[Anything()] * 20, **{name: Anything() for name in fields if not name.isdecimal()}).replace("{}", ""), key


def test_bold_begins_and_ends_where_markdown_sees_it():
    """Next to Chinese letters there is no space, so that a mark of punctuation just inside of the stars hides them."""
    hidden = r"\w\*\*[^\w\s*{`][^*]*\*\*|\*\*[^*]*[^\w\s*}`]\*\*\w"
    parts = [(before[-1:] + "**" + bold + "**" + after[:1]) for chinese in CHINESE.values() for before, bold, after in zip(*(iter(chinese.split("**")[at::2]) for at in (0, 1, 2)), strict=False)]
    assert parts and not [part for part in parts if re.fullmatch(hidden, part)]


def test_sentences_are_joined_as_their_language_does():
    assert language.sentences("One.", "", "Two.") == "One. Two."
    use_language("zh")
    assert language.sentences("一。", "", "二。") == "一。二。"


def test_a_language_is_chosen_for_one_run_alone():
    use_language("zh")
    seen = []
    other = threading.Thread(target=lambda: seen.append((language.language(), tr("Layer"))))
    other.start()
    other.join()
    assert seen == [("en", "Layer")]
    assert (language.language(), tr("Layer")) == ("zh", CHINESE["Layer"])
    with pytest.raises(ValueError, match="'xx' is not one of the languages en, zh"):
        use_language("xx")


@pytest.mark.parametrize(("locale", "key"), [("zh", "zh"), ("zh-Hant-TW", "zh"), ("ZH-cn", "zh"), ("en-GB", "en"), ("fr", "en"), ("", "en"), (None, "en")])
def test_the_language_of_a_locale(locale, key):
    assert language.of_locale(locale) == key


def _callback():
    import streamlit as st

    from pages.ui import frame
    from pages.ui.language import tr

    def refuse():
        try:
            frame.change(number="one")
        except ValueError:
            st.toast(tr("Layer"))

    frame.page("app.py", "number", "overflow")
    st.button("refuse", on_click=refuse)


def test_a_callback_speaks_the_language_of_its_page(monkeypatch):
    monkeypatch.setattr("pages.ui.frame.st.page_link", lambda *args, **kwargs: None)
    app = AppTest.from_function(_callback, default_timeout=60)
    app.query_params["language"] = "zh"
    app.run()
    app.button[-1].click().run()
    assert [toast.value for toast in app.toast] == [CHINESE["Layer"]]
    app.button_group(key="language").set_value("en").run()
    assert [app.selectbox(key="overflow").label, app.selectbox(key="overflow").options[0]] == ["Overflow", "Saturate"]
    app.button[-1].click().run()
    assert [toast.value for toast in app.toast] == ["Layer"]


def refused(call, *arguments) -> str:
    with pytest.raises((ValueError, CheckpointError)) as caught:
        call(*arguments)
    return str(caught.value)


MESSAGES = {
    "a format that is meant": (lambda: refused(parse_format, "e4m3fm"), "e4m3fn"),
    "a format that nobody means": (lambda: refused(parse_format, "hello"), "hello"),
    "a pattern that is too wide": (lambda: refused(parse_format, "e9m9"), "16"),
    "a table of one value": (lambda: refused(parse_format, "table(1)"), "65536"),
    "not a number": (lambda: refused(explain, "one", "e4m3fn"), "2^-9"),
    "a division by zero": (lambda: refused(explain, "1/0", "e4m3fn"), "1/0"),
    "a file that is cut off": (lambda: refused(open_checkpoint, b"\x10\0\0\0\0\0\0\0{}", "a.safetensors"), "16"),
    "a file of another kind": (lambda: refused(open_checkpoint, b"x", "weights.bin"), ".bin"),
    "a plan": (lambda: refused(parse_line, "nothing"), "nothing"),
    "a recipe": (lambda: refused(fp8.recipes.parse_recipe, "mxfp9"), "mxfp9"),
    "a vector that stays": (lambda: why_not((384,), "vector", fp8.layers.kinds.torch.float32), "384"),
    "a caution": (lambda: cautions({f"{name}_proj.weight": TensorInfo("", (8, 8), fp8.layers.kinds.torch.bfloat16) for name in ("gate", "up")}, {"up_proj.weight": "row_e4m3"}, model_type="llama")[0], "gate_proj"),
    "a caution about experts": (lambda: cautions({"a.experts.0.w1.weight": TensorInfo("", (8, 8), fp8.layers.kinds.torch.bfloat16)}, {"a.experts.0.w1.weight": "nvfp4"}, model_type="mixtral")[0], "MXFP6 E2M3；"),
    "another caution": (lambda: cautions({"wte.weight": TensorInfo("wte.weight", (8, 8), fp8.layers.kinds.torch.float32)}, {"wte.weight": "row_e4m3"}, model_type="llama")[0], "wte"),
    "a caution about a type": (lambda: cautions({"a.weight": TensorInfo("a.weight", (8, 8), fp8.layers.kinds.torch.float16)}, {"a.weight": "row_e4m3"}, model_type="gpt2")[0], "gpt2"),
    "a backend that cannot": (lambda: run_many([BenchCase(16, 16, 16, "nvfp4", "int8", repeats=1)])[0].refusal, "e2m1fn"),
}  # fmt: skip


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_told_in_chinese_with_its_values(name):
    say, value = MESSAGES[name]
    message = say()
    assert told(message) == message
    use_language("zh")
    chinese = told(message)
    assert CJK.search(chinese) and value in chinese and not english_in(chinese)


def test_reasons_within_a_message_are_told_too():
    use_language("zh")
    inner = refused(parse_format, "e9m9")
    outer = refused(fp8.recipes.parse_recipe, "e9m9:row")
    assert inner in outer and told(inner) in told(outer)


def test_what_fits_no_template_stays_as_it_is():
    use_language("zh")
    for text in ("encoder.layer.0.weight", "", "Zstandard {0} %s", "x" * 5000, "a: " * 20_000):
        assert told(text) == text


STATES = {
    "app.py": [{}],
    "pages/lessons.py": [{"lesson": "outlier"}, {"lesson": "outlier", "lesson_step": "reveal"}, {"lesson": "summary"}],
    "pages/formats.py": [{"axis": "binade", "formats": "float32,e4m3fn,nf4", "pattern": "e9m9"}],
    "pages/number.py": [{"number": "1e9", "overflow": "ieee"}, {"number": "one/2"}],
    "pages/distributions.py": [{"size": "65536", "format": "own", "pattern": "e9m9"}],
    "pages/scaling.py": [{"size": "65536", "topic": topic, "granularity": "1x32"} for topic in ("grid", "rules", "calibration", "delayed", "nvfp4", "directions")],
    "pages/layers.py": [{"model": "digits", "layers_topic": topic, "recipes": "mxfp4,int8_tensor"} for topic in ("suffer", "products", "model", "plan", "logs")] + [{"model": "silero_vad", "part": "activations", "layers_chart": "outliers"}],
    "pages/matmul.py": [{"accumulators": "float32,own", "pair_of_own": "added", "recipes": "mxfp4"}],
    "pages/benchmark.py": [{}, {"measure": "pays"}, {"measure": "roofline", "machine": "B200"}],
    "pages/conformance.py": [{}],
}
QUIET = {"id", "elementId", "formId", "key", "userKey", "source", "queryString", "bdata", "type", "mode", "symbol", "orientation", "legendgroup", "uirevision"}


def strings(part) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        yield from (text for name, each in part.items() if name not in QUIET for text in strings(each))
    elif isinstance(part, list | tuple):
        yield from (text for each in part for text in strings(each))


def shown(node) -> Iterator[str]:
    """Every text of a drawn page: of widgets, prose, tables and figures, but not of code."""
    for child in getattr(node, "children", {}).values():
        yield from shown(child)
    proto = getattr(node, "proto", None)
    if proto is None or node.type in ("code", "html"):
        return
    if node.type == "arrow_data_frame":
        yield from map(str, node.value.columns)
        yield from (text for column in node.value.select_dtypes(exclude="number") for text in node.value[column].dropna().astype(str).unique()[:200])
    elif getattr(proto, "spec", ""):
        yield from strings(json.loads(proto.spec))
    else:
        yield from strings(MessageToDict(proto))


@pytest.mark.parametrize("path", STATES)
def test_a_page_in_chinese_has_no_english_in_it(path):
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=180)
    app.query_params["language"] = "zh"
    app.run()
    titles, known = set(), {key for key, chinese in CHINESE.items() if key != chinese and " " in key}
    for query in STATES[path]:
        app.query_params.clear()
        app.query_params.update({"language": "zh"} | query)
        (app if path == "app.py" else app.switch_page(path)).run()
        assert not app.exception
        texts = {part for text in shown(app._tree) for part in (text, *re.split(r"<br>|\n", text))}
        assert sorted(texts & known) == []
        assert sorted(text for text in texts if english_in(text)) == []
        assert sorted(text for text in texts if HALF_WIDTH.search(text)) == []
        titles.add(app.title[0].value)
    assert titles == {told_in_chinese(PAGES[path].heading or PAGES[path].title)}
    app.button_group(key="language").set_value("en").run()
    assert app.title[0].value == (PAGES[path].heading or PAGES[path].title)
    assert {text for text in shown(app._tree) if CJK.search(text)} <= {LANGUAGES["zh"]}  # nothing that was kept for later was kept in Chinese


def told_in_chinese(text: str) -> str:
    use_language("zh")
    return told(text)
