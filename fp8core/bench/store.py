"""Results in a JSON file, checked field by field when they are read: a file may come from anybody."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from datetime import date
from pathlib import Path

from fp8core.bench.record import KINDS, BenchCase, BenchResult, Spread

SCHEMA = 1
RECORDED = Path(__file__).resolve().parents[2] / "data" / "benchmarks"
MAX_FILE_BYTES = 4 << 20


def save(results: Sequence[BenchResult], path: str | Path, note: str = "") -> None:
    """Write results to a JSON file with the schema's version and today's date.

    Args:
        note: a sentence about the machine that the numbers do not tell.
    """
    content = {"schema": SCHEMA, "date": date.today().isoformat(), "note": note, "results": [_plain(asdict(result)) for result in results]}
    Path(path).write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


def load(path: str | Path) -> list[BenchResult]:
    """Read what `save` wrote; `recorded` of each result is the file's date.

    Raises:
        ValueError: a file that is not such a file, in words.
        OSError: no such file.
    """
    content = _read(path)
    try:
        return [replace(_result(record), recorded=content["date"]) for record in content["results"]]
    except ValueError as error:
        raise ValueError(f"{Path(path).name}: {error}") from error


def recorded_runs() -> dict[str, Path]:
    """Return the recorded runs that come with the project, by name; none where data/ is not there."""
    return {path.stem: path for path in sorted(RECORDED.glob("*.json"))}


def load_note(path: str | Path) -> str:
    """Read the note of a file that `save` wrote.

    Raises:
        ValueError, OSError: as `load`.
    """
    return _read(path)["note"]


def _read(path: str | Path) -> dict:
    path = Path(path)
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"{path.name} has {path.stat().st_size} bytes; a benchmark file has at most {MAX_FILE_BYTES}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is not a benchmark file: {error}") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else None
        raise ValueError(f"{path.name} has schema {found!r}; this version reads schema {SCHEMA}")
    for key, kind in (("date", str), ("note", str), ("results", list)):
        if not isinstance(content.get(key), kind):
            raise ValueError(f"{path.name}: {key!r} is {content.get(key)!r}, and should be a {kind.__name__}")
    try:
        date.fromisoformat(content["date"])
    except ValueError as error:
        raise ValueError(f"{path.name}: date {content['date']!r} is not a date such as 2025-11-23") from error
    return content


def _result(record) -> BenchResult:
    """One record of a file; the dataclass checks the case, this the rest."""
    values = _exactly(BenchResult, record)
    values["case"] = BenchCase(**_exactly(BenchCase, values["case"]))
    for name in ("quantize_a_ms", "quantize_b_ms", "product_ms", "end_to_end_ms"):
        if values[name] is not None:
            values[name] = Spread(**{key: _number(key, value) for key, value in _exactly(Spread, values[name]).items()})
    for name in ("tflops", "gb_per_s", "speedup_bfloat16", "speedup_float32", "sqnr_db", "max_abs_error", "error_rows"):
        if values[name] is not None:
            values[name] = _number(name, values[name])
    if type(values["runs"]) is not int or values["runs"] < 0:
        raise ValueError(f"runs = {values['runs']!r} should be a whole number of at least 0")
    for name in ("host", "device", "kernel", "kind", "recorded", "refusal"):
        if not isinstance(values[name], str):
            raise ValueError(f"{name} = {values[name]!r} should be text")
    if values["kind"] not in ("", *KINDS):
        raise ValueError(f"kind = {values['kind']!r} is not one of {', '.join(KINDS)}")
    if not values["refusal"] and values["product_ms"] is None:
        raise ValueError("a result that was not refused has no product_ms")
    return BenchResult(**values)


def _exactly(record_type, values) -> dict:
    wanted = {field.name for field in fields(record_type)}
    if not isinstance(values, dict) or set(values) != wanted:
        found = ", ".join(sorted(values)) if isinstance(values, dict) else repr(values)
        raise ValueError(f"a {record_type.__name__} has the fields {', '.join(sorted(wanted))}, and here are {found[:300]}")
    return dict(values)


def _number(name: str, value) -> float | int:
    if value in ("inf", "-inf", "nan"):
        return float(value)
    if type(value) not in (int, float):
        raise ValueError(f"{name} = {value!r} should be a number")
    return value


def _plain(value):
    """Non-finite numbers as text, which JSON has no number for."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
