"""Results in files, one line each: CSV is written and read, and checked column by column, since a file may come from anybody; Parquet is written."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import Any

from fp8core.bench.record import KINDS, BenchCase, BenchResult, Spread
from fp8core.gemm import BACKENDS

RECORDED = Path(__file__).resolve().parents[2] / "data" / "benchmarks"
MAX_FILE_BYTES = 4 << 20
_CASE, _NOTE = "case", "note"
_SPREAD = "Spread | None"
_MEASURED = ("quantize_a_ms", "quantize_b_ms", "product_ms", "end_to_end_ms", "tflops", "gb_per_s", "peak_tflops", "peak_gb_per_s", "sqnr_db", "max_abs_error", "error_rows")
_ERRORS = ("sqnr_db", "max_abs_error")


def rows(results: Sequence[BenchResult], note: str = "") -> list[dict[str, Any]]:
    """Return results as flat rows: the fields of the case, those of the result, three columns for each spread, the note; None where there is no figure.

    Args:
        note: a sentence about the machine that the numbers do not tell.
    """
    return [row(result) | {_NOTE: note} for result in results]


def save(results: Sequence[BenchResult], path: str | Path, note: str = "") -> None:
    """Write results to a file that ends in .csv or .parquet; a result without a date gets today's.

    Args:
        note: as in `rows`.

    Raises:
        ValueError: no results; a file of another kind.
        OSError: it cannot be written.
    """
    kind = Path(path).suffix
    if kind not in _WRITERS:
        raise ValueError(f"{Path(path).name} does not end in {' or '.join(_WRITERS)}")
    if not results:
        raise ValueError(f"{Path(path).name}: there are no results to be written")
    _WRITERS[kind](rows([replace(result, date=result.date or date.today().isoformat()) for result in results], note), path)


def load(path: str | Path) -> list[BenchResult]:
    """Read the CSV file that `save` wrote; `recorded` of each result is its date.

    Raises:
        ValueError: a file that is not such a file, in words.
        OSError: no such file.
    """
    return [result for result, _ in _read(path)]


def load_note(path: str | Path) -> str:
    """Read the note of a file that `save` wrote.

    Raises:
        ValueError, OSError: as `load`.
    """
    return _read(path)[0][1]


def recorded_runs() -> dict[str, Path]:
    """Return the recorded runs that come with the project, by name; none where data/ is not there."""
    return {path.stem: path for path in sorted(RECORDED.glob("*.csv"))}


def _columns() -> dict[str, str]:
    """Every column and the type of its numbers."""
    columns = {each.name: each.type for each in fields(BenchCase)}
    for each in fields(BenchResult):
        if each.name != _CASE:
            columns |= {f"{each.name}_{part.name}": "float | None" for part in fields(Spread)} if each.type == _SPREAD else {each.name: each.type}
    return columns | {_NOTE: "str"}


def row(result: BenchResult) -> dict[str, Any]:
    """Return a result as one flat row; see `rows`."""
    values = {each.name: getattr(result.case, each.name) for each in fields(BenchCase)}
    for each in fields(BenchResult):
        value = getattr(result, each.name)
        if each.type == _SPREAD:
            values |= {f"{each.name}_{part.name}": getattr(value, part.name, None) for part in fields(Spread)}
        elif each.name != _CASE:
            values[each.name] = value
    return values


def _write_csv(lines: list[dict[str, Any]], path: str | Path) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(_columns()))
        writer.writeheader()
        writer.writerows({name: "" if value is None else value for name, value in line.items()} for line in lines)


def _write_parquet(lines: list[dict[str, Any]], path: str | Path) -> None:
    import pandas

    pandas.DataFrame(lines).to_parquet(path)


_WRITERS: dict[str, Callable] = {".csv": _write_csv, ".parquet": _write_parquet}
ENDINGS = tuple(_WRITERS)


def _read(path: str | Path) -> list[tuple[BenchResult, str]]:
    """Results and notes, at least one."""
    path = Path(path)
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"{path.name} has {path.stat().st_size} bytes; a benchmark file has at most {MAX_FILE_BYTES}")
    wanted = _columns()
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            names = reader.fieldnames or []
            if set(names) != set(wanted) or len(names) != len(wanted):
                different = sorted(set(names) ^ set(wanted))
                raise ValueError(f"its first line should name the columns {', '.join(wanted)}; different are {', '.join(map(repr, different))[:300]}")
            found = [_result(line, wanted) for line in reader]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} is not a benchmark file: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error
    if not found:
        raise ValueError(f"{path.name} holds no results")
    return found


def _result(line: dict[str, Any], columns: dict[str, str]) -> tuple[BenchResult, str]:
    """One line of a file; the dataclass checks the case, this the rest."""
    if None in line or None in line.values():
        raise ValueError(f"a line has {len(line)} values or more, and {len(columns)} are wanted")
    values = {name: _value(name, line[name], kind) for name, kind in columns.items()}
    note = values.pop(_NOTE)
    case = BenchCase(**{each.name: values.pop(each.name) for each in fields(BenchCase)})
    for each in fields(BenchResult):
        if each.type == _SPREAD:
            parts = [values.pop(f"{each.name}_{part.name}") for part in fields(Spread)]
            if parts.count(None) not in (0, len(parts)):
                raise ValueError(f"{each.name} has {len(parts) - parts.count(None)} of its {len(parts)} numbers")
            values[each.name] = None if None in parts else Spread(*parts)
    if values["runs"] < 0:
        raise ValueError(f"runs = {values['runs']!r} should be a whole number of at least 0")
    if values["kind"] not in ("", *KINDS):
        raise ValueError(f"kind = {values['kind']!r} is not one of {', '.join(KINDS)}")
    if not values["refusal"]:
        _check_measured(values)
    try:
        date.fromisoformat(values["date"])
    except ValueError as error:
        raise ValueError(f"date = {values['date']!r} is not a date such as 2025-11-23") from error
    return BenchResult(case, **{**values, "recorded": values["date"]}), note


def _check_measured(values: dict[str, Any]) -> None:
    """What was measured has a kernel, and times and speeds above 0."""
    if values["kernel"] not in BACKENDS or not values["kind"]:
        raise ValueError(f"kernel = {values['kernel'][:50]!r}, kind = {values['kind']!r}: a result that was not refused names one of {', '.join(BACKENDS)} and how it multiplied")
    for name in _MEASURED:
        if values[name] is None:
            raise ValueError(f"a result that was not refused has no {name}")
    for name, value in values.items():
        shares = (value.median, value.p20, value.p80) if isinstance(value, Spread) else (value,) if isinstance(value, float) and name not in _ERRORS else ()
        if not all(0 < share < math.inf for share in shares):
            raise ValueError(f"{name} = {value!r}: times and speeds are finite numbers above 0")


def _value(name: str, text: str, kind: str):
    """A value of a file as its type."""
    if kind == "str":
        return text
    if text == "" and kind.endswith("| None"):
        return None
    try:
        number = int(text) if kind.startswith("int") else float(text)
    except ValueError as error:
        raise ValueError(f"{name} = {text[:50]!r} should be a {'whole number' if kind.startswith('int') else 'number'}") from error
    if isinstance(number, float) and math.isnan(number) and name != "sqnr_db":
        raise ValueError(f"{name} = {text[:50]!r} should be a number")
    return number
