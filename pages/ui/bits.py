"""The bits of a code as buttons, coloured by field."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages.ui.language import tr

_COLOURS = {"sign": "#cc79a7", "exponent": "#e69f00", "mantissa": "#0072b2", "integer": "#0072b2"}
_STYLE = """<style>
.st-key-bits button {{ min-width: 2.1rem; padding: 0.15rem 0.3rem; font-family: monospace; font-weight: 700; border-width: 2px; }}
.st-key-bits button p {{ font-size: 1.15rem; }}
{fields}</style>"""
_FIELD = """.st-key-bits_{field} button {{ border-color: {colour}; }}
.st-key-bits_{field} button[kind="primary"] {{ background: {colour}; color: {ink}; }}
"""


def draw_bits(code: int, fields: dict[str, int], flip: Callable[[int], None]) -> None:
    """Draw one button for each bit of a code, most significant first; a click calls `flip(position)`, 0 being the last bit.

    Args:
        fields: widths of the bit fields from the most significant down, as a format has them.
    """
    names = {"sign": tr("sign"), "exponent": tr("exponent"), "mantissa": tr("mantissa"), "integer": tr("integer"), "index": tr("index")}
    inks = {"sign": "#000", "exponent": "#000"}
    rules = "".join(_FIELD.format(field=field, colour=colour, ink=inks.get(field, "#fff")) for field, colour in _COLOURS.items())
    st.html(_STYLE.format(fields=rules))
    position = sum(fields.values())
    with st.container(horizontal=True, gap="medium", key="bits"):
        for field, width in fields.items():
            if not width:
                continue
            name = names.get(field, field)
            with st.container(key=f"bits_{field}", width="content", gap="xxsmall"):
                st.caption(tr("{field}, {width} bits").format(field=name, width=width) if width > 1 else tr("{field}, 1 bit").format(field=name))
                with st.container(horizontal=True, width="content", gap="xxsmall"):
                    for place in reversed(range(width)):
                        position -= 1
                        is_set = code >> position & 1
                        st.button(
                            str(is_set), key=f"bit_{position}", on_click=flip, args=(position,), type="primary" if is_set else "secondary",
                            help=tr("Flip bit {place} of the {field}").format(place=place, field=name),
                        )  # fmt: skip
