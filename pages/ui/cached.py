"""st.cache_data at the border to fp8core: keyed by names and numbers, never by an array, and bounded.

Streamlit hashes only a sample of a large array, so an array as a key would hide a planted outlier.
"""

from __future__ import annotations

import gc
import os

import streamlit as st
import torch

from fp8core import kernels
from fp8core.grid import Spacing, spacing
from fp8core.models import load_weights
from fp8core.samples import SAMPLES, make_sample


@st.cache_resource(show_spinner=False)
def prepare_server() -> None:
    """Do once per server what every session gains by.

    What is imported by now is never garbage: left in, every collection walks it and holds all sessions up.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(min(torch.get_num_threads(), usable))
    kernels.warm_in_background()
    gc.collect()
    gc.freeze()


@st.cache_resource(max_entries=8, show_spinner=False)
def tensor(source: str, size: int, seed: int, outlier: float, tail: float) -> torch.Tensor:
    """Return the tensor that a view names: float32, a square sample, or a matrix of a bundled model as it is.

    Only samples heed `size`, `seed`, `outlier` and `tail`. All callers share it, as a copy
    for each run would cost more than most answers: nobody may write to it.
    """
    if source in SAMPLES:
        side = round(size**0.5)
        return make_sample(source, (side, side), seed=seed, outlier=outlier, tail=tail)
    model, name = source.split("/", 1)
    return load_weights(model).read(name).float()


@st.cache_data(max_entries=64, show_spinner=False)
def spacings(names: tuple[str, ...]) -> list[Spacing]:
    """Return which numbers some formats have, and how far apart they lie."""
    return [spacing(name) for name in names]
