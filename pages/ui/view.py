"""What the visitor is looking at, as one frozen value, and its URL form. No Streamlit: the round trip is tested without an app.

A control is one line of `View`. Every value comes out of a closed list or through a check, so that whatever stands in a link is harmless.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from typing import Any

from fp8core.bench.devices import DEVICES, parse_peaks
from fp8core.bench.shapes import BATCHES
from fp8core.bench.shapes import MODELS as SHAPES
from fp8core.calibration import ALGORITHMS, SCENARIOS
from fp8core.codec import OVERFLOWS, ROUNDINGS
from fp8core.formats import FAMILIES, FORMATS
from fp8core.gemm import ACCUMULATORS, BACKENDS
from fp8core.models import MODELS, load_weights
from fp8core.number import explain
from fp8core.plan import CANDIDATES, parse_line
from fp8core.recipes import LIBRARIES, RECIPES
from fp8core.reinterpret import PAIRS
from fp8core.rotation import ROTATIONS
from fp8core.rules import GENERIC_RULES
from fp8core.samples import SAMPLES
from fp8core.scaling import GRANULARITIES, SCALE_FORMATS, SCALE_RULES
from fp8core.spans import parse_span
from pages.ui.controls import Choices, Control, choice, choices, text
from pages.ui.language import ENGLISH, LANGUAGES, told
from pages.ui.lessons import LESSONS, STEPS, SUMMARY
from pages.ui.local import NONE, checkpoints

VERSION = "1"

BY_HAND, OWN, SQUARES, HERE = "by_hand", "own", "squares", "here"


@cache
def sources() -> tuple[str, ...]:
    """Samples, and every matrix of the bundled models as `model/tensor-name`; read from the headers of the files."""
    tensors = (f"{model}/{name}" for model in MODELS for name, info in load_weights(model).infos.items() if len(info.shape) >= 2)
    return (*SAMPLES, *tensors)


@lru_cache(maxsize=256)
def _read_number(text: str) -> None:
    explain(text, "float32")


def _source_title(source: str) -> str:
    return SAMPLES[source].label if source in SAMPLES else source.replace("/", ": ", 1)


def _format_title(name: str) -> str:
    return FORMATS[name].title


def recipe_title(name: str) -> str:
    """What a recipe is called in the chosen language: its title, or the name that spells it out."""
    return told(RECIPES[name].title) if name in RECIPES else name


def _granularity_title(name: str) -> str:
    words = {"none": "no scale", "tensor": "one scale for the tensor", "row": "one per row", "column": "one per column"}
    return words.get(name) or f"one per block of {name.replace('x', ' × ')}"


def _backend_title(name: str) -> str:
    return "automatic" if name == "auto" else name


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


_SIDES = {65_536: 256, 262_144: 512, 1_048_576: 1024, 4_194_304: 2048, 16_777_216: 4096}
_LENGTHS = (64, 100, 128, 256, 512, 1000, 1024, 2048, 4096)
_PROMOTIONS = (32, 64, 128, 256, 512, 1024)
_OUTLIERS = (*(step * 10**power for power in range(7) for step in (1, 3)), 10_000_000)
_AXES = {"log": "logarithmic", "linear": "linear", "scaled": "share of max", "binade": "by binade"}
_TOPICS = {"grid": "granularity × rule", "rules": "all rules", "calibration": "calibration", "delayed": "delayed scaling", "nvfp4": "NVFP4 inside", "directions": "rows against columns"}
_PICKS = {"number": "by its number", "largest": "with the largest number", "smallest": "with the smallest scale", "worst": "with the largest error"}
_PATTERN_HELP = (
    "Floating point is [u]e3m4, u for no sign, then if you like a bias, as in e3m4b3, then fn, fnuz, finite or extended for what the last codes mean, then _nosub for no subnormals. "
    "Integers are int6, IEEE P3109 is binary8p4 with s or u for the sign and e or f for infinity or none, a list of values is table(-1,-0.5,0,0.5,1)."
)
TWO_LEVEL_RECIPES = tuple(name for name, recipe in RECIPES.items() if recipe.scaling and recipe.scaling.block == (1, 16) and recipe.scaling.scale_format == "e4m3fn_float32" and not recipe.rotation)
_CALIBRATED_ON = {"activations": "inputs of a layer", "tensor": "the tensor at the left"}
_MEASURES = {"run": "one size", "pays": "where does FP8 pay?", "roofline": "roofline"}
_LAYERS_TOPICS = {"suffer": "which layers suffer", "products": "what-if: products", "model": "the whole model", "plan": "a plan, and its export", "logs": "training logs"}
_BUDGETS = {"bits": "bits per weight", "error": "an error ceiling", "same": "one recipe for all"}
_BITS = (3.5, 4.0, 4.25, 4.5, 4.75, 5, 5.5, 6, 6.5, 7, 8, 8.25, 9, 10, 12, 16)
_LAYERS_CHARTS = {"dots": "layer by layer", "colours": "table of colours", "outliers": "outliers"}


@dataclass(frozen=True)
class View:
    """Every shared control. Values are checked, so a View that exists can be drawn.

    Raises:
        ValueError: a value that its control does not allow.
    """

    source: str = choice("normal", sources, "Tensor", "Tensor", "A synthetic tensor, or one matrix of a small real model.", _source_title)
    size: int = choice(262_144, tuple(_SIDES), "Size", "Tensor", "Rows × columns of a synthetic tensor.", lambda n: f"{_SIDES[n]} × {_SIDES[n]}")
    seed: int = choice(0, tuple(range(10)), "Seed", "Tensor", "Another seed draws another tensor of the same kind.", widget="slider")
    outlier: int = choice(1, _OUTLIERS, "Outliers (× rms)", "Tensor", "A few numbers of a synthetic tensor are made this many times larger than its rms.", lambda n: "none" if n == 1 else f"{n:,}", "slider")
    tail: float = choice(3, (1.5, 2, 3, 5, 10, 30), "Degrees of freedom", "Tensor", "Only for Student's t: the fewer, the heavier the tails.", widget="slider")
    preset: str = choice(BY_HAND, (BY_HAND, *RECIPES), "Recipe", "Number format", "A recipe under the name that its library gives it, or format and scaling put together by hand.", lambda key: "put together by hand" if key == BY_HAND else RECIPES[key].title)
    format: str = choice("e4m3fn", (*FORMATS, OWN), "Format", "Number format", "The last of the list is a format of your own: write its pattern below.", lambda key: "a format of your own" if key == OWN else FORMATS[key].title)
    formats: tuple[str, ...] = choices(("e4m3fn", "e5m2"), tuple(FORMATS), "Formats", "Number format", "Shown side by side, in this order.", _format_title)
    pattern: str = text("", 400, "A format of your own", "Number format", _PATTERN_HELP, only_with=("format", OWN))
    families: tuple[str, ...] = choices(tuple(family for family in FAMILIES if family != "IEEE P3109"), tuple(FAMILIES), "Families", "Number format", "Which formats the comparison shows, family by family.")
    pair: str = choice("e4m3", tuple(PAIRS), "Pair", "Picture", "The two formats that the same byte is read in.", lambda key: " / ".join(FORMATS[name].title for name in PAIRS[key]), "buttons")
    byte: int = choice(0x40, tuple(range(256)), "Byte", "Picture", "One of the 256 codes.", lambda code: f"0x{code:02X}", "slider")
    granularity: str = choice("tensor", ("none", *GRANULARITIES), "Scales", "Scaling", "Which numbers share one scale.", _granularity_title)
    rule: str = choice("amax", GENERIC_RULES, "Scale rule", "Scaling", "How a scale follows from the largest magnitude of its block (amax).", lambda key: SCALE_RULES[key].title)
    scale_format: str = choice("float32", tuple(SCALE_FORMATS), "Scale stored as", "Scaling", "The number format of the scales themselves.", lambda key: SCALE_FORMATS[key].title)
    rotation: str = choice("none", ("none", *filter(None, ROTATIONS)), "Rotation before", "Scaling", "Turns neighbours along a row into mixtures of each other before their scale is taken, so that an outlier is spread over all of them; turned back afterwards.", lambda key: "none" if key == "none" else ROTATIONS[key].title)
    rounding: str = choice("half_even", tuple(ROUNDINGS), "Rounding", "Rounding", "What happens between two values.", lambda key: _sentence(ROUNDINGS[key]))
    overflow: str = choice("saturate", tuple(OVERFLOWS), "Overflow", "Rounding", "What happens beyond the largest value.", lambda key: {"saturate": "Saturate", "ieee": "Infinity or NaN"}.get(key, key))
    topic: str = choice("grid", tuple(_TOPICS), "Topic", "Picture", "Which question about scales the page answers.", _TOPICS.__getitem__, "buttons")
    calibrated_on: str = choice("activations", tuple(_CALIBRATED_ON), "Calibrate on", "Calibration", "Real inputs of one layer of a bundled model, in 16 batches, or the tensor chosen at the left.", _CALIBRATED_ON.__getitem__, "buttons")
    percentile: float = choice(99.99, (99.0, 99.9, 99.99, 99.999), "Percentile", "Calibration", "How many per cent of the magnitudes are not clipped.", lambda p: f"{p:g} %", "slider")
    momentum: float = choice(0.9, (0.0, 0.5, 0.9, 0.99), "Momentum", "Calibration", "Weight of the past in the moving average of the batches' amax.", widget="slider")
    scenario: str = choice("spike", tuple(SCENARIOS), "Scenario", "Delayed scaling", "How the numbers change from step to step.", lambda key: _sentence(SCENARIOS[key].title), "buttons")
    history: int = choice(16, (1, 2, 4, 8, 16, 32, 64, 1024), "History length", "Delayed scaling", "How many past steps are remembered. Transformer Engine: 1024; Megatron-LM: 1.", widget="slider")
    algorithm: str = choice("max", tuple(ALGORITHMS), "Algorithm", "Delayed scaling", "What is taken of the history. Transformer Engine: the largest; Megatron-LM: the most recent.", lambda key: _sentence(key.replace("_", " ")), "buttons")
    margin: int = choice(0, tuple(range(9)), "Margin", "Delayed scaling", "Binades left free above amax.", widget="slider")
    step: int = choice(33, tuple(range(64)), "Step", "Delayed scaling", "The step whose arithmetic is written out below; a click into the picture chooses it too.", widget="slider")
    axis: str = choice("log", tuple(_AXES), "Axis", "Picture", "How the numbers of the formats are laid out.", _AXES.__getitem__, "buttons")
    library: str = choice("all", ("all", *LIBRARIES), "Library", "Picture", "Whose recipes are shown.", lambda name: "All libraries" if name == "all" else name)
    two_level: str = choice("nvfp4", TWO_LEVEL_RECIPES, "NVFP4 of", "Picture", "The same idea in several libraries.", recipe_title)
    block: int = choice(0, tuple(range(256)), "Block", "Picture", "Blocks are counted row by row; after the last one the first follows again.", widget="slider")
    pick: str = choice("number", tuple(_PICKS), "Which block", "Picture", "How the block that is taken apart is chosen.", _PICKS.__getitem__, "buttons")
    span: str = text("", 24, "Only numbers with |x| / scale in", "Picture", "Two powers of two, as in 2^-6..2^-2, or nothing for all numbers; a drag over the bars above writes it too.", parse_span, "is not two powers of two with exponents from −999 to 999, the larger one last, as in 2^-6..2^-2")
    zoom: int = choice(1, (1, 4, 16, 64), "Zoom", "Picture", "Show only the middle part of the axis.", lambda n: f"× {n}", "buttons")
    number: str = text("0.1", 40, "Number", "Number", "A decimal such as 0.1 or -3e-5, a fraction such as 1/3, a power such as 2^-9, inf, nan, or a code such as 0x5E.", _read_number)
    model: str = choice("minilm", tuple(MODELS), "Model", "Model", "Small real models that come with this project.", lambda key: MODELS[key].label)
    checkpoint: str = choice(NONE, checkpoints, "Checkpoint on this machine", "Model", "What lies in the folder that was named when this dashboard was started. It takes the place of the model.")
    layer: str = text("", 200, "Layer", "Model", "The tensor that is looked at closely; a click into the picture or the table chooses it too.")
    part: str = choice("weights", ("weights", "activations"), "Part", "Model", "Weights, or the inputs of each layer on real data that come with the model.", _sentence, "buttons")
    layers_topic: str = choice("suffer", tuple(_LAYERS_TOPICS), "Topic", "Picture", "Which question about the model the page answers.", _LAYERS_TOPICS.__getitem__, "buttons")
    candidates: tuple[str, ...] = choices(CANDIDATES, tuple(RECIPES), "To choose from", "Plan", "Recipes that the plan may give to a layer. A layer may also stay as it is stored.", recipe_title)
    budget: str = choice("bits", tuple(_BUDGETS), "Budget", "Plan", "The least error that so many bits can buy; the fewest bits that keep the error below a ceiling; or one recipe for all matrices. Normalizations, embeddings, the head and routers stay as they are in each case.", _BUDGETS.__getitem__)
    bits: float = choice(5, _BITS, "Bits per weight", "Plan", "At most so many, scales included, over all layers of the plan.", lambda b: f"{b:g}", "slider")
    ceiling: int = choice(20, (5, 10, 15, 20, 25, 30, 35, 40, 50), "SQNR at least (dB)", "Plan", "Predicted, of the model's output where the model can be run, and else of the layers' mean noise-to-signal ratio.", widget="slider")
    fused: str = choice("together", ("together", "apart"), "Layers that engines fuse", "Plan", "Inference engines multiply q, k and v as one, and gate and up; vLLM refuses a checkpoint in which they differ. Together: they get the same recipe, and a change by hand changes all of them.", _sentence, "buttons")
    plan: str = text("", 2000, "Plan", "Plan", "One recipe per layer, in order; *3 stands for three layers in a row, keep for a layer that stays as it is.", parse_line, "is not a plan: names of recipes or keep, separated by commas, each with * and a number where several layers follow")
    layers_chart: str = choice("dots", tuple(_LAYERS_CHARTS), "Picture", "Picture", "How the layers are compared.", _LAYERS_CHARTS.__getitem__, "buttons")
    recipes: tuple[str, ...] = choices(("tensor_e4m3", "mxfp8_e4m3", "nvfp4", "int8_tensor"), tuple(RECIPES), "Recipes", "Recipe", "Compared in this order. A recipe is a number format together with a way to scale.", recipe_title)
    pair_of_own: str = choice("none", ("none", "added"), "A pair of your own", "Recipe", "Any number format with any scaling, compared beside the recipes.", _sentence, "buttons")
    recipe: str = choice("tensor_e4m3", tuple(RECIPES), "Recipe", "Recipe", "A number format together with a way to scale.", recipe_title)
    rows: int = choice(256, _LENGTHS, "M (rows of A)", "Product A (M, K) · B (K, N)", "How many rows A and the product have.", widget="slider")
    columns: int = choice(256, _LENGTHS, "N (columns of B)", "Product A (M, K) · B (K, N)", "How many columns B and the product have.", widget="slider")
    inner: int = choice(1024, _LENGTHS, "K (inner length)", "Product A (M, K) · B (K, N)", "Every element of the product is a sum of K terms.", widget="slider")
    smoothing: float | str = choice("none", ("none", 0.25, 0.5, 0.75), "Smoothing α", "Product A (M, K) · B (K, N)", "SmoothQuant: loud columns of A are divided, and the rows of B that meet them multiplied, before both are quantized. 0.5 shares the difficulty evenly; more moves more of it into B.", widget="buttons")
    accumulators: tuple[str, ...] = choices(("float32", "hopper_fp8", "hopper_fp8_128"), (*ACCUMULATORS, OWN), "Accumulators", "Accumulator", "How the products of one element are added. The last of the list is a unit of your own, with the two settings beside it.", lambda key: "a unit of your own" if key == OWN else ACCUMULATORS[key].title)
    fraction_bits: int = choice(10, tuple(range(4, 24)), "Fraction bits of your own unit", "Accumulator", "Binary places kept below the largest number while a step of 32 products is added, and of the sum after it. Hopper: 13; float32: 23.", widget="slider")
    promotion: int | str = choice("never", ("never", *_PROMOTIONS), "Promotion of your own unit", "Accumulator", "After how many products the sum is added to a float32 register and begins again at zero.", lambda n: n if n == "never" else f"every {n}", "slider")
    repeats: int = choice(20, (5, 20, 50), "Repeats", "Measurement", "Timed runs of each product; the median is shown.", widget="buttons")
    backend: str = choice("auto", ("auto", *BACKENDS), "Backend", "Measurement", "What multiplies; automatic takes the first that uses the codes as they are.", _backend_title)
    measure: str = choice("run", tuple(_MEASURES), "What to measure", "Measurement", "One product, many layers and batches, or how far a machine can go.", _MEASURES.__getitem__, "buttons")
    sizes: str = choice(SQUARES, (SQUARES, *SHAPES), "Layers", "Measurement", "Square matrices, or the linear layers of a published model.", lambda key: "square matrices" if key == SQUARES else SHAPES[key].label)
    batches: tuple[int, ...] = choices((1, 16, 128, 1024), BATCHES, "Batch (tokens)", "Measurement", "How many tokens pass the layer at once: one when a single answer is written, thousands in training.")
    seconds: int = choice(60, (20, 60, 180, 600), "Seconds", "Measurement", "What would not end in this time is left out, and said.", lambda n: f"{n} s", "slider")
    machine: str = choice(HERE, (HERE, *DEVICES), "Machine", "Measurement", "This machine by what was measured on it, or one that is not here by its data sheet.", lambda key: "this machine" if key == HERE else DEVICES[key].name)
    peaks: str = text("", 200, "Peaks of another machine", "Measurement", "A machine of the list with other numbers, as in B200:gb_per_s=8000,bfloat16=2250.", reads=parse_peaks, rule="is not a machine of the list with its peaks, as in B200:gb_per_s=8000,bfloat16=2250")
    present: str = choice("0", ("0", "1"), "Presenter mode", "Share", "Large type, strong contrast, figures at full width, and the controls folded away.", {"0": "off", "1": "on"}.__getitem__, "buttons")
    camera: str = choice("svg", ("svg", "png"), "The camera above a figure saves", "Share", "SVG stays sharp at any size; PNG has twice the pixels of the screen.", str.upper, "buttons")
    recorded: str = choice("shown", ("shown", "hidden"), "Recorded runs", "Measurement", "Runs of other machines that come with this project.", _sentence, "buttons")
    lesson: str = choice(next(iter(LESSONS)), (*LESSONS, SUMMARY), "Lesson", "Lessons", "Which lesson is shown; the last of the list is the summary of your predictions.")
    lesson_step: str = choice(STEPS[0], STEPS, "Step of the lesson", "Lessons", "The prediction comes first, and then what happens.")
    language: str = choice(ENGLISH, tuple(LANGUAGES), "Language", "Language", "The language of all that this page says.", LANGUAGES.__getitem__, "buttons")

    def __post_init__(self):
        for name, control in CONTROLS.items():
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, control.checked(value))
            except ValueError as error:
                raise ValueError(f"{name} = {value!r} {error}") from error

    @classmethod
    def from_query(cls, query: Mapping[str, str], **usual: Any) -> tuple[View, tuple[Refused, ...]]:
        """Read a URL -> the view, and what was not used of it. Unknown keys are ignored; bad values leave the default, or `usual` where that names the field."""
        values, refused = dict(usual), []
        for name, control in CONTROLS.items():
            if name not in query:
                continue
            try:
                values[name] = control.parse(query[name])
            except ValueError as error:
                refused.append(Refused(name, query[name], str(error), control.text(usual.get(name, control.default))))
            else:
                left_out = set(query[name].split(",")) - {"", *control.text(values[name]).split(",")} if isinstance(control, Choices) else ()
                refused += [Refused(name, part, "is not one of the choices", "") for part in sorted(left_out)]
        return cls(**values), tuple(refused)

    def to_query(self) -> dict[str, str]:
        """Every field, always: a link keeps its meaning when a default changes."""
        return {"v": VERSION} | {name: control.text(getattr(self, name)) for name, control in CONTROLS.items()}

    def to_short_query(self) -> dict[str, str]:
        """The fields that are not as by default, and the language, which is else the browser's: what a code that is photographed from afar has room for."""
        return {name: text for name, text in self.to_query().items() if name in ("v", "language") or getattr(self, name) != CONTROLS[name].default}


@dataclass(frozen=True)
class Refused:
    """A value in a link that was not used: `key=text rule; shown is shown instead`. `text` was written by a stranger."""

    key: str
    text: str
    rule: str
    shown: str


def heeded(view: View) -> dict[str, Any]:
    """What the numbers of the view's tensor depend on beside its source; what they do not depend on is as by default, so that caches find the same tensor again."""
    names = ("size", *SAMPLES[view.source].settings) if view.source in SAMPLES else ()
    return {name: getattr(view if name in names else View, name) for name in ("size", "seed", "outlier", "tail")}


CONTROLS: dict[str, Control] = {f.name: f.metadata["control"] for f in fields(View)}
