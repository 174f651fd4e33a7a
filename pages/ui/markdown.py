"""The Markdown that this project writes, as HTML: of notes one line, of lessons whole texts. No Streamlit; every text is escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

_LATEX = {r"\cdot": "·", r"\infty": "∞", "-": "−"}


def inline(markdown: str) -> str:
    """A line as HTML: bold, italics, code, escapes, and formulas with powers."""
    kept: list[str] = []

    def keep(match: re.Match) -> str:
        kept.append(match[1])
        return f"\0{len(kept) - 1}\0"

    text = html.escape(re.sub(r"\\([!-/:-@\[-`{-~])", keep, markdown.replace("\0", "")))
    text = re.sub(r"`(.+?)`", r"<code>\1</code>", text)
    text = re.sub(r"\$([^$]+)\$", lambda match: _formula(match[1]), text)
    text = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", text)
    text = re.sub(r"\*([^\s*][^*]*?)\*", r"<em>\1</em>", text)
    return re.sub("\0(\\d+)\0", lambda match: html.escape(kept[int(match[1])]), text)


def plain(markdown: str) -> str:
    """A line without its marks."""
    return html.unescape(re.sub(r"<[^>]*>", "", inline(markdown)))


def blocks(markdown: str) -> str:
    """A text as HTML: paragraphs, lists, tables and small headings, with empty lines between them."""
    return "".join(_block(part.strip().splitlines()) for part in re.split(r"\n\s*\n", markdown) if part.strip())


def _block(lines: list[str]) -> str:
    for tag, mark in (("ul", r"- "), ("ol", r"\d+\. ")):
        if all(re.match(mark, line) for line in lines):
            return _around(tag, (_around("li", [inline(re.sub(mark, "", line, count=1))]) for line in lines))
    if all(line.startswith("|") for line in lines):
        rows = ([inline(cell.strip()) for cell in line.strip("|").split("|")] for line in lines if not re.fullmatch(r"[|\- ]+", line))
        return _around("table", (_around("tr", (_around("td", [cell]) for cell in row)) for row in rows))
    if lines[0].startswith("#### "):
        return _around("h3", [inline(" ".join(lines).removeprefix("#### "))])
    return _around("p", [inline(" ".join(lines))])


def _around(tag: str, parts: Iterable[str]) -> str:
    return f"<{tag}>{''.join(parts)}</{tag}>"


def _formula(latex: str) -> str:
    """A sum or a product with powers, as `number_tables.formula` writes it."""
    text = re.sub(r"\\text\{(\w+)\}", r"\1", latex)
    for mark, sign in _LATEX.items():
        text = text.replace(mark, sign)
    return re.sub(r"\^\{([^}]*)\}|\^(\w)", lambda match: f"<sup>{match[1] or match[2]}</sup>", text)
