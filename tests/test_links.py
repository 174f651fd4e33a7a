"""Links that were given away keep working and keep their meaning: tests/links.json holds some, and numbers that their pages showed.

Most name a few settings only, as links of earlier versions do: what a link lacks is as by default, so a default that changes shows here.
To add one, which writes down what its page shows now:

    python tests/test_links.py 'pages/number.py?v=1&number=0.1&format=e4m3fn' ['pages/…' ...]
"""

import json
import re
import sys
from pathlib import Path
from urllib.parse import parse_qsl

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[1]
STORED = ROOT / "tests" / "links.json"
LINKS = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else []
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def opened(path: str, query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=180)
    app.query_params.update(dict(parse_qsl(query, keep_blank_values=True)))
    (app if path == "app.py" else app.run().switch_page(path)).run()
    assert not app.exception
    return app


def cell(tables: list[pd.DataFrame], where: dict[str, str], column: str):
    """The cell of the one row, of the first table that has such a row and all of the columns."""
    for table in tables:
        if {*where, column} <= set(table.columns):
            found = table.loc[(table[list(where)].astype(str) == pd.Series(where)).all(axis=1), column]
            if len(found) == 1:
                return found.iloc[0]
    raise AssertionError(f"no table has one row of {where} with {column}")


def same(shown, stored) -> bool:
    """Whether a number or a text is as it was, but for the last digits, where sums may be taken in another order."""
    if isinstance(stored, str):
        numbers = [[float(each) for each in NUMBER.findall(text)] for text in (str(shown), stored)]
        return NUMBER.sub("#", str(shown)) == NUMBER.sub("#", stored) and numbers[0] == pytest.approx(numbers[1], rel=2e-3)
    return float(shown) == pytest.approx(stored, rel=2e-3)


@pytest.mark.parametrize("link", LINKS, ids=lambda link: f"{Path(link['path']).stem}?{link['query'][:40]}")
def test_a_link_still_shows_its_numbers(link):
    app = opened(link["path"], link["query"])
    assert not any("in this link" in each.value for each in app.warning)
    tables, metrics = [each.value for each in app.dataframe], {each.label: each.value for each in app.metric}
    for label, value in link["metrics"].items():
        assert same(metrics[label], value), f"{label}: {metrics[label]}, was {value}"
    for where, column, value in link["cells"]:
        shown = cell(tables, where, column)
        assert same(shown, value), f"{column} of {where}: {shown}, was {value}"


def test_the_links_are_of_every_page_that_shows_numbers():
    assert {Path(link["path"]).stem for link in LINKS} == {"formats", "number", "distributions", "scaling", "layers", "matmul", "benchmark"}
    assert len(LINKS) >= 15 and all(link["query"].startswith("v=1&") and (link["metrics"] or link["cells"]) for link in LINKS)


def record(address: str) -> dict:
    """What the page of a link shows: its metrics, and of each table up to three cells of its first and of its last row."""
    path, query = address.split("?", 1)
    app = opened(path, query)
    cells = []
    for table in (each.value for each in app.dataframe):
        keys = next((list(table.columns[:count]) for count in (1, 2, 3) if not table.astype(str).duplicated(list(table.columns[:count])).any()), None)
        if keys is None:
            continue
        numbers = [*table.select_dtypes("number").columns] or [*table.columns]
        for row in dict.fromkeys((0, len(table) - 1)):
            shown = table.iloc[row]
            for column in [name for name in numbers if name not in keys and shown[name] == shown[name]][:3]:
                cells.append([{key: str(shown[key]) for key in keys}, column, shown[column] if isinstance(shown[column], str) else float(shown[column])])
    return {"path": path, "query": query, "metrics": {each.label: each.value for each in app.metric}, "cells": cells}


if __name__ == "__main__":
    links = [*LINKS, *map(record, sys.argv[1:])]
    STORED.write_text("[\n" + ",\n".join(json.dumps(link, ensure_ascii=False) for link in links) + "\n]\n", encoding="utf-8")
