"""One byte read as OCP's FP8 and as AMD's FNUZ: both meanings, all 256 bytes, and how to convert."""

from __future__ import annotations

import streamlit as st

from fp8core.formats import Format
from fp8core.grid import describe_code
from fp8core.reinterpret import MEANINGS, PAIRS, Reinterpretation, reinterpret, unconvertible
from pages.ui import frame
from pages.ui.charts import formats as charts
from pages.ui.language import told, tr
from pages.ui.number_tables import formula, kind_word

EXAMPLES = (0x40, 0x7E, 0x7F, 0x80, 0xFF)


def draw() -> None:
    """Draw the section, with controls of its own."""
    frame.heading(tr("One byte, two readings: OCP and FNUZ"))
    view = frame.control("pair")
    found = reinterpret(*PAIRS[view.pair])
    left, right = st.columns([3, 2])
    with left:
        view = frame.control("byte")
        with st.container(horizontal=True, gap="small"):
            for code in EXAMPLES:
                st.button(f"0x{code:02X}", key=f"byte_{code:02X}", on_click=frame.change, kwargs={"byte": code})
        for fmt in (found.first, found.second):
            _reading(fmt, view.byte)
        st.markdown(sentence(found, view.byte))
    with right:
        frame.figure(
            charts.reading_figure(found, view.byte),
            "readings",
            tr("**What you see:** all 256 bytes. Where the colour is the same, {second} reads half of what {first} reads; the frame is the byte chosen.").format(first=told(found.first.title), second=told(found.second.title)),
        )
    frame.table(summary(found), "readings", height="content")
    st.markdown(recipe(found))
    frame.copy_python(as_python(found, view.byte))


def _reading(fmt: Format, byte: int) -> None:
    code = describe_code(byte, fmt)
    st.markdown(f"**{told(fmt.title)}** &nbsp; `{code.bits}` &nbsp; {formula(code.arithmetic)} &nbsp; :gray[{kind_word(code.kind)}]")


def sentence(found: Reinterpretation, byte: int) -> str:
    """What becomes of one byte, in words."""
    words = {
        "half": tr("Read as {second}, this byte is **half** of what it is as {first}."),
        "number_becomes_nan": tr("A number in {first}, **NaN** in {second}: one such byte makes a whole sum NaN."),
        "special_becomes_number": tr("NaN or infinity in {first}, an ordinary **number** in {second}: an error that nobody sees any more."),
        "other": tr("The two readings have nothing to do with each other."),
    }
    return words[str(found.meanings[byte])].format(first=told(found.first.title), second=told(found.second.title))


def summary(found: Reinterpretation) -> list[dict]:
    """How many bytes there are of each kind, and which, where they are few."""
    return [
        {tr("reading {first} as {second}").format(first=found.first.name, second=found.second.name): tr(words), tr("bytes"): found.count(meaning), tr("which"): _listed(found.codes(meaning))}
        for meaning, words in MEANINGS.items()
        if found.count(meaning)
    ]


def _listed(codes, most: int = 12) -> str:
    return ", ".join(f"0x{code:02X}" for code in codes) if len(codes) <= most else tr("all others")


def recipe(found: Reinterpretation) -> str:
    """How to convert, and what that leaves undone, counted."""
    there, back = (unconvertible(*pair) for pair in ((found.first, found.second), (found.second, found.first)))
    return tr(
        "**To convert without rounding:** from {first} to {second}, keep the bytes, double the scale, and write 0x00 for 0x80; then {there} of {all} bytes still mean something else ({which_there}). "
        "From {second} to {first}, keep the bytes and halve the scale; then {back} do ({which_back}): these must be rounded anew or were NaN."
    ).format(first=told(found.first.title), second=told(found.second.title), there=len(there), all=len(found.meanings), which_there=_listed(there) or tr("none"), back=len(back), which_back=_listed(back) or tr("none"))


def as_python(found: Reinterpretation, byte: int) -> str:
    """The program that gives these counts, and both readings of the byte."""
    return f"""
from fp8core.grid import describe_code
from fp8core.reinterpret import MEANINGS, reinterpret, unconvertible

first, second = {found.first.name!r}, {found.second.name!r}
for name in (first, second):
    print(describe_code({byte:#04x}, name))
found = reinterpret(first, second)
for meaning in MEANINGS:
    print(meaning, found.count(meaning))
print(len(unconvertible(first, second)), "bytes cannot be converted,", len(unconvertible(second, first)), "the other way")
"""
