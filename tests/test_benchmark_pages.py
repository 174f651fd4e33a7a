"""The walk over the pages: every control there and back, and rows that can be believed."""

from benchmarks.pages import AGAIN, OPENED, another, can_change, places, walk

from pages.ui import cached
from pages.ui.controls import Text
from pages.ui.frame import PAGES
from pages.ui.view import CONTROLS

SIZE = 65_536


def test_every_control_is_changed_there_and_back():
    first, again, *changes = walk("formats", SIZE)
    assert (first.control, again.control) == (OPENED, AGAIN)
    assert {row.control for row in changes} == {"language", "formats", "pattern", "axis", "pair", "byte"}
    assert all(row.ms > 0 and row.sent > 10_000 and not row.error for row in (first, again, *changes))
    assert first.misses > 0
    assert again.misses == 0 < again.hits  # a second identical run
    for there, back in zip(changes[::2], changes[1::2], strict=True):
        assert there.control == back.control
        assert there.value != back.value
        assert back.misses == 0
        assert back.sent == again.sent or back.control == "language"  # after which every widget is set anew


def test_an_exception_on_a_page_is_told_in_its_row(monkeypatch):
    def broken(names):
        raise ValueError("no such numbers")

    monkeypatch.setattr(cached, "spacings", broken)
    assert next(walk("formats", SIZE)).error == "no such numbers"


def test_every_page_is_walked():
    assert {path for path, _ in places().values()} == set(PAGES)


def test_another_value_is_legal_and_another():
    for name, control in CONTROLS.items():
        if not can_change(name):
            assert name == "checkpoint"  # no folder of checkpoints was named here
            continue
        for value in [control.default] if isinstance(control, Text) or isinstance(control.default, tuple) else control.listed():
            assert control.checked(another(name, value)) != value
    assert another("size", 1_048_576) < 1_048_576
