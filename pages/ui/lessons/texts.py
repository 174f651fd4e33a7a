"""What lessons say: Markdown files with six sections, split at their headings. No Streamlit.

A file begins with `# title`; then follow `## Predict` (the question, and its choices as a list), `## Reveal`, `## Figures` (a list: what is seen in each),
`## Explain` and `## Try` (the words of the link, and below them what to do there). The headings are the same in every language. {placeholders} are for the numbers of the lesson's exhibit; choices have none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

SECTIONS = ("Predict", "Reveal", "Figures", "Explain", "Try")
_ITEM = "- "


@dataclass(frozen=True)
class Text:
    """One lesson in one language; all but title, choices and link are templates."""

    title: str
    question: str
    choices: tuple[str, ...]
    reveal: str
    captions: tuple[str, ...]
    explain: str
    link: str
    task: str


@lru_cache(maxsize=256)
def read(lesson: str, language: str) -> Text:
    """Return the text of a lesson.

    Raises:
        OSError: there is none in this language.
        ValueError: a file that has not these sections in this order.
    """
    path = Path(__file__).parent / f"{lesson}.{language}.md"
    head, *parts = f"\n{path.read_text(encoding='utf-8')}".split("\n## ")
    sections = {title.strip(): body.strip() for title, _, body in (part.partition("\n") for part in parts)}
    if tuple(sections) != SECTIONS or len(parts) != len(SECTIONS) or not head.startswith("\n# ") or not all(sections.values()):
        raise ValueError(f"{path.name}: a title, then the sections {', '.join(SECTIONS)}, none of them empty")
    question, choices = _split(sections["Predict"])
    link, _, task = sections["Try"].partition("\n")
    return Text(
        title=head.strip().removeprefix("# "),
        question=question,
        choices=choices,
        reveal=sections["Reveal"],
        captions=_split(sections["Figures"])[1],
        explain=sections["Explain"],
        link=link.strip(),
        task=task.strip(),
    )


def _split(section: str) -> tuple[str, tuple[str, ...]]:
    """The prose of a section, and the items of its list."""
    lines = section.splitlines()
    return "\n".join(line for line in lines if not line.startswith(_ITEM)).strip(), tuple(line.removeprefix(_ITEM) for line in lines if line.startswith(_ITEM))
