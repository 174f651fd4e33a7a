"""What lessons say: Markdown files with five sections, split at their headings. No Streamlit.

A file begins with `# title`; then follow `## Predict` (the question, and its choices as a list), `## Reveal`, `## Explain` and `## Try` (the words of the
link, and below them what to do there). The headings are the same in every language. {placeholders} are for the numbers of the lesson's exhibit; choices have none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

SECTIONS = ("Predict", "Reveal", "Explain", "Try")
_CHOICE = "- "


@dataclass(frozen=True)
class Text:
    """One lesson in one language; all but title, choices and link are templates."""

    title: str
    question: str
    choices: tuple[str, ...]
    reveal: str
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
    lines = sections["Predict"].splitlines()
    link, _, task = sections["Try"].partition("\n")
    return Text(
        title=head.strip().removeprefix("# "),
        question="\n".join(line for line in lines if not line.startswith(_CHOICE)).strip(),
        choices=tuple(line.removeprefix(_CHOICE) for line in lines if line.startswith(_CHOICE)),
        reveal=sections["Reveal"],
        explain=sections["Explain"],
        link=link.strip(),
        task=task.strip(),
    )
