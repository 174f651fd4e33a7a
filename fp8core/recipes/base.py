"""What a recipe is."""

from __future__ import annotations

from dataclasses import dataclass

from fp8core.codec import OVERFLOWS, ROUNDINGS
from fp8core.formats import Format, parse_format
from fp8core.rotation import ROTATIONS
from fp8core.scaling import SCALE_FORMATS, SCALE_RULES, ScaleSpec


@dataclass(frozen=True)
class Recipe:
    """What to do with a tensor.

    Args:
        name: key of `RECIPES`, or the spelled-out name.
        format: name of the elements' format, as `parse_format` reads it.
        scaling: how to scale, None for no scale at all.
        title: what people call it.
        source: where it is defined.
        rotation: a key of `ROTATIONS`: what is done to the last axis before the scale is taken.

    Raises:
        ValueError: unknown format, rounding, overflow or rotation; a scale rule that cannot go with the format.
    """

    name: str
    format: str
    scaling: ScaleSpec | None = None
    title: str = ""
    source: str = ""
    rounding: str = "half_even"
    overflow: str = "saturate"
    rotation: str = ""

    def __post_init__(self):
        fmt = parse_format(self.format)
        if self.scaling is not None:
            SCALE_RULES[self.scaling.rule].check(fmt)
        if self.rounding not in ROUNDINGS:
            raise ValueError(f"rounding = {self.rounding!r} is not one of {', '.join(ROUNDINGS)}")
        if self.overflow not in OVERFLOWS:
            raise ValueError(f"overflow = {self.overflow!r} is not one of {', '.join(OVERFLOWS)}")
        if self.rotation not in ROTATIONS:
            raise ValueError(f"rotation = {self.rotation!r} is not one of {', '.join(filter(None, ROTATIONS))}")

    @property
    def fmt(self) -> Format:
        """The elements' format."""
        return parse_format(self.format)

    def nbytes(self, count: int, blocks: int) -> int:
        """Bytes of `count` elements and their `blocks` scales, each packed without gaps."""
        if self.scaling is None:
            return -(-count * self.fmt.bits // 8)
        store = SCALE_FORMATS[self.scaling.scale_format]
        global_bytes = parse_format(store.global_format).bits // 8 if store.global_format else 0
        return -(-count * self.fmt.bits // 8) + -(-blocks * store.bits // 8) + global_bytes
