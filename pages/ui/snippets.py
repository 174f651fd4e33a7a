"""Parts of the programs under "The same in Python". Names and texts from outside enter them as Python literals, and in no other way."""

from __future__ import annotations

from fp8core.recipes import Recipe, parse_recipe
from fp8core.samples import SAMPLES
from fp8core.scaling import ScaleSpec
from pages.ui.view import View, heeded


def program(*parts: str) -> str:
    """Join parts of a program: the imports of all of them first, each once, then the rest, one part after the other."""
    plain, modules, bodies = set(), {}, []
    for part in parts:
        body = []
        for line in part.splitlines():
            if line.startswith("import "):
                plain.add(line)
            elif line.startswith("from "):
                module, _, names = line.removeprefix("from ").partition(" import ")
                modules.setdefault(module, set()).update(names.split(", "))
            else:
                body.append(line)
        bodies.append("\n".join(body).strip("\n"))
    named = [f"from {module} import {', '.join(sorted(names, key=_by_kind))}" for module, names in sorted(modules.items())]
    return "\n\n".join(["\n".join([*sorted(plain), *named]), *filter(None, bodies)])


def _by_kind(name: str) -> tuple[bool, bool, str]:
    """The order of imports: constants, classes, functions."""
    return not name.isupper(), name[0].islower(), name


def recipe(chosen: Recipe) -> str:
    """What names a recipe to `fp8.quantize`: its name where that says all of it, else a call that makes it."""
    try:
        if parse_recipe(chosen.name) == chosen:
            return repr(chosen.name)
    except ValueError:
        pass  # a name for people, such as that of a transposed recipe
    scaling = "" if chosen.scaling is None else scale(chosen.scaling)
    return f"fp8.make_recipe({', '.join(filter(None, (repr(chosen.format), scaling, settings(chosen))))})"


def scale(spec: ScaleSpec, block: str = "", rule: str = "") -> str:
    """A scaling strategy, with another block or rule where an expression for it is given."""
    floor = f", amax_floor={spec.amax_floor!r}" if spec.amax_floor else ""
    return f"fp8.ScaleSpec({block or spec.block}, {rule or repr(spec.rule)}, {spec.scale_format!r}{floor})"


def settings(chosen: Recipe) -> str:
    """Arguments of `fp8.make_recipe` for what is not as usual."""
    usual = {"rounding": "half_even", "overflow": "saturate", "rotation": ""}
    return ", ".join(f"{name}={getattr(chosen, name)!r}" for name, value in usual.items() if getattr(chosen, name) != value)


def seed(chosen: Recipe, number: int) -> str:
    """The argument that makes stochastic rounding come out the same again; empty where nothing is left to chance."""
    return f", seed={number}" if chosen.rounding == "stochastic" else ""


def sample(view: View, shape: tuple[int, ...]) -> str:
    """A synthetic tensor, as a call of `make_sample` with what it depends on."""
    asked = heeded(view)
    told = [f"{name}={asked[name]!r}" for name, usual in (("seed", None), ("outlier", 1), ("tail", None)) if name in SAMPLES[view.source].settings and asked[name] != usual]
    return f"make_sample({', '.join([repr(view.source), repr(tuple(shape)), *told])})"


def tensor(opened: str, name: str, shape: tuple[int, ...] = (), part: str = "") -> str:
    """One tensor out of a checkpoint, as float32, in a shape and cut where these are given."""
    return f"{opened}.read({name!r}).float()" + (f".reshape{tuple(shape)}" if shape else "") + part
