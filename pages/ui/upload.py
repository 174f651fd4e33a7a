"""One upload for every page: the bytes stay in the visitor's session, and their sha256 is the key of everything computed from them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import streamlit as st

from fp8core.checkpoints import SUFFIXES, Checkpoint, CheckpointError, open_checkpoint
from pages.ui.language import sentences, told, tr
from pages.ui.presenting import side

MOST_MB = 50
MOST_NBYTES = 2 * MOST_MB * 1_000_000  # unpacked: a .npz may hold more than its own size
_WIDGET, _HELD = "upload_widget", "upload"


@dataclass(frozen=True, eq=False)
class _Upload:
    sha256: str = ""
    checkpoint: Checkpoint | None = None
    error: str = ""


def uploaded_checkpoint() -> Checkpoint | None:
    """Draw the upload box beside the page -> what this session has uploaded, None where there is nothing or it was refused.

    An upload outlives a change of page; a refused file is answered with the reason, and the page goes on.
    """
    with side():
        st.file_uploader(
            tr("Your own weights"), type=[suffix.removeprefix(".") for suffix in SUFFIXES], key=_WIDGET, on_change=_take, max_upload_size=MOST_MB,
            help=tr("A .safetensors, .npy or .npz file of at most {size} MB. It stays in the memory of this session, is never written to a disk and never read as a pickle.").format(size=MOST_MB),
        )  # fmt: skip
        held = st.session_state.get(_HELD, _Upload())
        if held.error:
            st.error(sentences(tr("This file was not opened."), as_text(told(held.error))))
        elif held.checkpoint is not None:
            st.caption(tr("Open: {name}, {count} tensors.").format(name=as_text(held.checkpoint.filename), count=len(held.checkpoint.infos)))
            st.button(tr("Forget this file"), key="upload_forget", on_click=_forget)
    return held.checkpoint


def upload_key() -> str:
    """The sha256 of the uploaded file; empty where there is none."""
    return st.session_state.get(_HELD, _Upload()).sha256


def as_text(text: str) -> str:
    """Escape what Markdown, its maths, icons and HTML would read as markup: names in files are written by strangers."""
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|$~:&^=\"'])", r"\\\1", " ".join(text.split()))


def _take() -> None:
    file = st.session_state[_WIDGET]
    st.session_state[_HELD] = _Upload() if file is None else _open(file.name, file.getvalue())


def _forget() -> None:
    st.session_state[_HELD] = _Upload()


def _open(name: str, data: bytes) -> _Upload:
    try:
        return _Upload(hashlib.sha256(data).hexdigest(), open_checkpoint(data, name, max_nbytes=MOST_NBYTES))
    except CheckpointError as error:
        return _Upload(error=str(error))
