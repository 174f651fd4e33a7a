"""How units add products: each is a literal, with its source. `accumulate` does what they say."""

from __future__ import annotations

from dataclasses import dataclass

import torch

ROUNDINGS = {"toward_zero": torch.trunc, "half_even": torch.round}
SPLIT_TILE = 128
FLOAT32_BITS, FLOAT32_EMIN = 23, -126
_MOST_ALIGNED, _MOST_GROUP = 40, 1024  # the sum of a group stays below 2^53


@dataclass(frozen=True)
class Accumulator:
    """How a unit adds the products of one element of A · B.

    Args:
        source: where the numbers come from.
        group: products along K that one step adds.
        aligned_bits: fraction bits below the largest exponent that every product, and the accumulator, keep while they are added. None: all;
            each product is added by itself in a float32 fused multiply-add, and `group`, `sum_bits` and `rounding` are then 1, 23 and "half_even".
        sum_bits: fraction bits of the accumulator after each step; float32 has 23.
        rounding: a key of `ROUNDINGS`: what happens to the bits that are not kept, when aligning and after adding.
        promotion: after how many numbers along K the sum goes to a float32 register; None: never.
        splits: runs into which K is cut, in whole tiles of 128.

    Raises:
        ValueError: numbers that do not make a unit; the message says which.
    """

    name: str
    title: str = ""
    source: str = ""
    group: int = 1
    aligned_bits: int | None = None
    sum_bits: int = FLOAT32_BITS
    rounding: str = "half_even"
    promotion: int | None = None
    splits: int = 1

    def __post_init__(self):
        if self.rounding not in ROUNDINGS:
            raise ValueError(f"rounding = {self.rounding!r} is not one of {', '.join(ROUNDINGS)}")
        if not 1 <= self.group <= _MOST_GROUP:
            raise ValueError(f"group = {self.group}: it is between 1 and {_MOST_GROUP}")
        if self.aligned_bits is None and (self.group, self.sum_bits, self.rounding) != (1, FLOAT32_BITS, "half_even"):
            raise ValueError(f"{self.name}: without aligned_bits it is float32 arithmetic: group 1, sum_bits {FLOAT32_BITS}, rounding half_even")
        if self.aligned_bits is not None and not 1 <= self.aligned_bits <= _MOST_ALIGNED:
            raise ValueError(f"aligned_bits = {self.aligned_bits}: it is between 1 and {_MOST_ALIGNED}")
        if not 1 <= self.sum_bits <= FLOAT32_BITS:
            raise ValueError(f"sum_bits = {self.sum_bits}: it is between 1 and {FLOAT32_BITS}")
        if self.promotion is not None and (self.promotion < 1 or self.promotion % self.group):
            raise ValueError(f"promotion = {self.promotion} is not a multiple of the group of {self.group} products that one step adds")
        if self.splits < 1 or (self.splits > 1 and self.promotion and SPLIT_TILE % self.promotion):
            raise ValueError(f"splits = {self.splits}, promotion = {self.promotion}: splits are at least 1, and tiles of {SPLIT_TILE} are whole multiples of the promotion interval")


_MMA_SIM = "Xie et al., arXiv 2511.10909"
_KHATTAK = "Khattak and Mikaitis, arXiv 2512.07004"
_DEEPSEEK = "DeepSeek-V3, arXiv 2412.19437, section 3.3.2"

ACCUMULATORS: dict[str, Accumulator] = {
    unit.name: unit
    for unit in (
        Accumulator("float32", "float32, one by one", "IEEE 754 fused multiply-add, in the order of K: what a CUDA core does in a plain loop"),
        Accumulator("hopper_fp8", "Hopper FP8, not promoted", f"wgmma, and cuBLAS with fast accumulation: {_MMA_SIM}; {_KHATTAK}; {_DEEPSEEK} (14 bits: 13 and the leading one)", 32, 13, 13, "toward_zero"),
        Accumulator("hopper_fp8_128", "Hopper FP8, promoted every 128", f"{_DEEPSEEK}; DeepGEMM; cuBLAS without fast accumulation", 32, 13, 13, "toward_zero", 128),
        Accumulator("ada_fp8", "Ada FP8, not promoted", f"mma.sync m16n8k32, which adds 16 products at a time: {_MMA_SIM}; {_KHATTAK}; SageAttention2, arXiv 2411.10958 (FP22)", 16, 13, 13, "toward_zero"),
        Accumulator("ada_fp8_128", "Ada FP8, promoted every 128", "the same under cuBLAS without fast accumulation: PyPI mmaemu 0.1.0, recorded on an RTX 4060", 16, 13, 13, "toward_zero", 128),
        Accumulator("blackwell_fp8", "Blackwell FP8", f"tcgen05 without scales in the instruction: {_MMA_SIM}", 32, 25, 23, "toward_zero"),
    )
}  # fmt: skip


def parse_accumulator(accumulator: str | Accumulator) -> Accumulator:
    """Return an accumulator by its key in `ACCUMULATORS`, or itself.

    Raises:
        ValueError: an unknown name.
    """
    if isinstance(accumulator, Accumulator):
        return accumulator
    if accumulator not in ACCUMULATORS:
        raise ValueError(f"accumulator {accumulator!r} is not one of {', '.join(ACCUMULATORS)}")
    return ACCUMULATORS[accumulator]
