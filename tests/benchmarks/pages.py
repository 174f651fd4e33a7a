"""What each control of each page costs the server: its time, what it sends, what it finds in its caches.

    python tests/benchmarks/pages.py [--size 1048576 ...] [--page scaling ...] [--csv FILE]

A page is opened with nothing cached, run again as it is, and then each shared control that it shows is set to another value and back. Buttons are not pressed.

- time: of `AppTest.run`, which stands for the browser and takes about 3 ms of it. The first run of a page includes imports that no page before it needed.
- sent: the bytes of every message with an element or a container. It is the most a browser is sent: of an element that it still has it gets a reference only.
  Files to download are not in it.
- hits and misses: calls of functions under `st.cache_data` and `st.cache_resource`, nested ones too, as Streamlit counts them.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in the Makefile
if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # not the folder of this file, which has the name of the package of pages

import streamlit as st
from streamlit import config, logger
from streamlit.runtime.caching.cache_metrics import CACHE_LOOKUPS_FAMILY, get_cache_metrics
from streamlit.runtime.forward_msg_queue import ForwardMsgQueue
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.util import patch_config_options

from pages.ui.cached import prepare_server
from pages.ui.controls import Choice, Choices, Text
from pages.ui.frame import PAGES
from pages.ui.view import CONTROLS, View

ROOT = Path(__file__).resolve().parents[2]
GOAL_MS = 150
LONGEST_RUN_SECONDS = 300
OPENED, AGAIN = "(opened)", "(again)"
_WIDGETS = ("selectbox", "select_slider", "segmented_control", "multiselect", "text_input")
_TOPICS = {"pages/scaling.py": "topic", "pages/layers.py": "layers_topic"}
_TEXTS = {"pattern": "e3m4b3fn", "number": "1/3", "peaks": "B200:gb_per_s=4000.0", "plan": "mxfp4*2,keep", "span": "2^-6..2^-2"}


@dataclass(frozen=True)
class Row:
    """One run of a page: after `control` was set to `value`, or one of the first two."""

    page: str
    size: int
    control: str
    value: str
    ms: float
    sent: int
    hits: int
    misses: int
    error: str = ""


def places() -> dict[str, tuple[str, dict[str, str]]]:
    """Every page by name: its file and what a link to it says; those of `_TOPICS` once for each topic, as each has controls of its own."""
    single = {Path(path).stem: (path, {}) for path in PAGES if path not in _TOPICS}
    return single | {f"{Path(path).stem}/{topic}": (path, {control: topic}) for path, control in _TOPICS.items() for topic in CONTROLS[control].listed()}


def walk(page: str, size: int) -> Iterator[Row]:
    """Open a page of `places` on a tensor of `size` numbers and change each control there and back -> a row for each run, as it is done."""
    app = opened(page, size)
    yield measured(app, page, size, OPENED)
    yield measured(app, page, size, AGAIN)
    for name in shown(app):
        if not can_change(name):
            continue
        before = getattr(app.session_state["frame_view"], name)
        for value in (another(name, before), before):
            shown(app)[name].set_value(list(value) if isinstance(value, tuple) else value)
            row = measured(app, page, size, name, CONTROLS[name].text(value))
            yield row
            if row.error:
                app = opened(page, size).run()
                break


def opened(page: str, size: int) -> AppTest:
    """A new session on the overview that goes to the page with its next run; nothing is cached but what the server prepares once."""
    path, values = places()[page]
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=LONGEST_RUN_SECONDS).run()
    st.cache_data.clear()
    st.cache_resource.clear()
    prepare_server()
    app.query_params.clear()
    app.query_params.update(View(size=size, **values).to_query())
    return app.switch_page(path)


def measured(app: AppTest, page: str, size: int, control: str, value: str = "") -> Row:
    """Run the page once -> what that took; an exception on the page is the row's error."""
    messages = []
    ForwardMsgQueue.on_before_enqueue_msg(messages.append)
    before = lookups()
    started = time.perf_counter()
    try:
        with patch_config_options({"client.showErrorDetails": "full"}):
            app.run()
        error = "; ".join(each.message for each in app.exception)
    except RuntimeError as late:
        error = str(late)
    finally:
        ForwardMsgQueue.on_before_enqueue_msg(None)
    ms = 1000 * (time.perf_counter() - started)
    sent = sum(message.ByteSize() for message in messages if message.HasField("delta"))
    return Row(page, size, control, value, round(ms, 1), sent, *(after - each for after, each in zip(lookups(), before, strict=True)), error)


def lookups() -> tuple[int, int]:
    """Hits and misses of all caches since the process began."""
    stats = get_cache_metrics().get_stats([CACHE_LOOKUPS_FAMILY]).get(CACHE_LOOKUPS_FAMILY, [])
    return tuple(sum(stat.value for stat in stats if stat.labels["result"] == result) for result in ("hit", "miss"))


def shown(app: AppTest) -> dict[str, Any]:
    """The widgets of shared controls that the last run drew."""
    return {widget.key: widget for kind in _WIDGETS for widget in app.get(kind) if widget.key in CONTROLS}


def can_change(name: str) -> bool:
    """Whether a control has more than one legal value here."""
    return not isinstance(CONTROLS[name], Choice) or len(CONTROLS[name].listed()) > 1


def another(name: str, value: Any) -> Any:
    """Another legal value: one more of several, the next of a list, or the one before where it is the last; the smaller of two tensors."""
    control = CONTROLS[name]
    if isinstance(control, Text):
        return _TEXTS.get(name, "1")
    options = control.listed()
    if isinstance(control, Choices):
        more = next((option for option in options if option not in value), None)
        return value[:-1] if more is None else (*value, more)
    place = options.index(value)
    before = place and (name == "size" or place + 1 == len(options))
    return options[place - 1 if before else place + 1]


def line(row: Row) -> str:
    """The row as the command prints it."""
    value = row.value if len(row.value) <= 30 else f"…{row.value[-29:]}"
    return f"{row.page:<20} {row.control:<14} {value:<30} {row.ms:>9.1f} {row.sent:>10,} {row.hits:>5} {row.misses:>6}  {row.error}".rstrip()


def summary(rows: Sequence[Row]) -> str:
    """One line for the rows of one page and size."""
    (first, again), times = rows[:2], [row.ms for row in rows[2:]]
    hits, calls = sum(row.hits for row in rows[1:]), sum(row.hits + row.misses for row in rows[1:])
    middle, worst = (f"{median(times):.0f}", f"{max(times):.0f}") if times else ("–", "–")
    over = f"{sum(ms > GOAL_MS for ms in times)} of {len(times)}"
    share = f"{hits / calls:.0%}" if calls else "–"
    return f"{first.page:<20} {first.size:>8} {first.ms:>9.0f} {again.ms:>9.0f} {middle:>9} {worst:>9} {over:>10} {max(row.sent for row in rows):>10,} {share:>6} {sum(bool(row.error) for row in rows):>6}"


def report(rows: Sequence[Row]) -> None:
    """Print a line for each page, what misses the goal, and the errors."""
    print(f"\n{'page':<20} {'size':>8} {'first ms':>9} {'again ms':>9} {'median ms':>9} {'worst ms':>9} {f'> {GOAL_MS} ms':>10} {'most sent':>10} {'hits':>6} {'errors':>6}")
    for page, size in dict.fromkeys((row.page, row.size) for row in rows):
        print(summary([row for row in rows if (row.page, row.size) == (page, size)]))
    changes = [row for row in rows if row.control not in (OPENED, AGAIN)]
    over = sorted((row for row in changes if row.ms > GOAL_MS), key=lambda row: -row.ms)
    print(f"\nGoal: every change of a control within {GOAL_MS} ms. {len(over)} of {len(changes)} take longer:")
    print(*(f"{row.ms:>9.0f} ms  {row.misses:>3} misses  {row.page}, {row.size}: {row.control} = {row.value}" for row in over), sep="\n")
    errors = [row for row in rows if row.error]
    print(f"\n{len(errors)} errors", *(f"{row.page}, {row.size}: {row.control} = {row.value}: {row.error}" for row in errors), sep="\n")


def main() -> None:
    sizes, names = CONTROLS["size"].listed(), list(places())
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs="+", choices=sizes, default=[1_048_576 if 1_048_576 in sizes else max(sizes)], help="numbers of the tensor")
    parser.add_argument("--page", nargs="+", default=names, help=f"names, or how they begin: {', '.join(names)}")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write every row to this file")
    wanted = parser.parse_args()
    pages = [name for name in names if name.startswith(tuple(wanted.page))]
    if not pages:
        parser.error(f"no page is named {' or '.join(wanted.page)}")
    if config.get_option("runner.postScriptGC"):
        parser.error("run it from the folder of app.py: the server's settings are read from there")
    logger.set_log_level("ERROR")
    print(f"{'page':<20} {'control':<14} {'set to':<30} {'ms':>9} {'sent':>10} {'hits':>5} {'misses':>6}")
    rows = []
    for row in (row for size in wanted.size for page in pages for row in walk(page, size)):
        rows.append(row)
        print(line(row), flush=True)
    report(rows)
    if wanted.csv:
        with wanted.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [column.name for column in fields(Row)])
            writer.writeheader()
            writer.writerows(map(asdict, rows))


if __name__ == "__main__":
    main()
