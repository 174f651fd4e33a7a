"""What the Layers page analyses: a bundled model, an uploaded file, or a checkpoint of this machine; and how a visitor's own program opens the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
import torch

from fp8core.arrays import at_least_float32
from fp8core.checkpoints import Checkpoint, open_checkpoint
from fp8core.layers import LayerReport, analyze_tensors, as_layer, kind_of, report
from fp8core.models import MODELS, activations, load_weights
from fp8core.packed import PackedInfo, decoded
from pages.ui.language import tr
from pages.ui.local import NONE, folder, path_of
from pages.ui.upload import as_text, upload_key
from pages.ui.view import View

MOST_NUMBERS = 1 << 22  # of one tensor: measuring it takes about 0.5 GB for a moment


@dataclass(frozen=True, eq=False)
class Source:
    """What is analysed.

    Args:
        key: tells two sources apart: model and part, or the sha256 of an uploaded file.
        checkpoint: where weights come from; None where `tensors` are analysed.
        tensors: activations by layer.
        model: key of `MODELS` where a bundled model is analysed, empty otherwise.
        title: what people call it; text from a stranger where it is a file's name.
        path: where it lies on this machine, where that is known to the visitor too.
        most: tensors of more numbers than this are not measured; None for no limit.
        stored: the checkpoint as it lies in its file, of which `checkpoint` shows the weights decoded; None where that is the same.
    """

    key: str
    checkpoint: Checkpoint | None = None
    tensors: dict[str, torch.Tensor] | None = None
    model: str = ""
    title: str = ""
    path: Path | None = None
    most: int | None = MOST_NUMBERS
    stored: Checkpoint | None = None

    @property
    def names(self) -> list[str]:
        """Every tensor, in the source's own order."""
        return list(self.tensors) if self.checkpoint is None else [*self.checkpoint.infos, *self.checkpoint.refused]

    def nbytes_of(self, name: str) -> int:
        """Bytes of one tensor as it is stored; 0 of an entry that holds no numbers."""
        if self.checkpoint is None:
            return self.tensors[name].nbytes
        return self.checkpoint.infos[name].nbytes if name in self.checkpoint.infos else 0

    def report(self, name: str, recipes: Sequence[str] = ()) -> LayerReport:
        """Report on one tensor under some recipes."""
        if self.checkpoint is None:
            return next(analyze_tensors({name: self.tensors[name]}, recipes))
        return report(self.checkpoint, name, recipes, most=self.most)

    @property
    def weights(self) -> Checkpoint:
        """The checkpoint whose weights a plan is for: that of the model where its activations are analysed."""
        return load_weights(self.model) if self.checkpoint is None else self.checkpoint

    @property
    def code(self) -> str:
        """Python that gives `checkpoint`: weights by name, or for activations a dict of them."""
        if self.checkpoint is None:
            return f"from fp8core.models import activations\nactivations = activations({self.model!r})"
        return self.weights_code

    @property
    def weights_code(self) -> str:
        """Python that gives `weights` as `checkpoint`."""
        if self.model:
            return f"from fp8core.models import load_weights\ncheckpoint = load_weights({self.model!r})"
        opened = f"open_checkpoint({str(self.path or self.title)!r})"
        if not any(isinstance(info, PackedInfo) for info in self.checkpoint.infos.values()):
            return f"from fp8core.checkpoints import open_checkpoint\ncheckpoint = {opened}"
        return f"from fp8core.checkpoints import open_checkpoint\nfrom fp8core.packed import decoded\ncheckpoint = decoded({opened})"

    @property
    def limit(self) -> str:
        """The argument of `analyze` that leaves tensors out that are not measured here; empty where all are."""
        return f", most={self.most}" if self.most is not None and any(info.count > self.most for info in self.weights.infos.values()) else ""

    def read(self, name: str) -> torch.Tensor:
        """Return one tensor in the shape in which it is quantized, 16 bits as float32; of a large one its first rows, about MOST_NUMBERS."""
        if self.checkpoint is None:
            return self.tensors[name]
        info = self.checkpoint.infos[name]
        return at_least_float32(as_layer(self.checkpoint.read(name, slice(0, self._rows(name))), kind_of(name, info.shape)))

    def read_code(self, name: str) -> str:
        """Python that gives `x` as `read` does, after `code`."""
        if self.checkpoint is None:
            return f"x = activations[{name!r}]"
        info, rows = self.checkpoint.infos[name], self._rows(name)
        part = "" if rows == info.shape[0] else f", slice(0, {rows})"
        shape = as_layer(torch.empty(rows, *info.shape[1:], device="meta"), kind_of(name, info.shape)).shape
        flat = "" if len(shape) == len(info.shape) else f".reshape{tuple(shape)}"
        return f"x = checkpoint.read({name!r}{part}){flat}{'' if info.dtype == torch.float64 else '.float()'}"

    def _rows(self, name: str) -> int:
        info = self.checkpoint.infos[name]
        return max(MOST_NUMBERS // max(info.count // info.shape[0], 1) // 128, 1) * 128 if info.count > MOST_NUMBERS else info.shape[0]


def controls() -> tuple[str, ...]:
    """Names of the page's controls; checkpoints of this machine are among them where its operator has named a folder."""
    return ("checkpoint", "model", "part", "recipes") if folder() is not None else ("model", "part", "recipes")


def choose_source(view: View, upload: Checkpoint | None) -> Source:
    """Return what the visitor wants to see: an uploaded file before a checkpoint of this machine, and that before the model; says so where it is not what the controls say.

    Raises:
        CheckpointError: a checkpoint of this machine that cannot be opened.
    """
    if upload is not None:
        st.info(tr("These are the tensors of your file {name}. Forget it in the sidebar to come back to the models.").format(name=as_text(upload.filename)))
        return Source(upload_key(), decoded(upload), title=upload.filename, stored=upload)
    if view.checkpoint != NONE and folder() is not None:
        path = path_of(view.checkpoint)
        st.info(tr("These are the tensors of {name} on this machine. Choose “none” at the left to come back to the models.").format(name=as_text(view.checkpoint)))
        stored, shown = _local(str(path), _changed(path))
        return Source(f"local/{path}/{_changed(path)}", shown, title=view.checkpoint, path=path, most=None, stored=stored)
    label = tr(MODELS[view.model].label)
    if view.part == "activations" and MODELS[view.model].inputs:
        return Source(f"{view.model}/activations", tensors=_activations(view.model), model=view.model, title=label)
    if view.part == "activations":
        st.info(tr("{model} comes without inputs, so there are no activations: its weights are shown.").format(model=label))
    return Source(f"{view.model}/weights", load_weights(view.model), model=view.model, title=label)


@st.cache_resource(max_entries=8, show_spinner=False)
def _local(path: str, changed: float) -> tuple[Checkpoint, Checkpoint]:
    """A checkpoint of this machine as it is stored, and with its weights decoded: looking for those takes a while where there are many tensors."""
    stored = open_checkpoint(path)
    return stored, decoded(stored)


def _changed(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


@st.cache_resource(max_entries=4, show_spinner=False)
def _activations(model: str) -> dict[str, torch.Tensor]:
    return activations(model)
