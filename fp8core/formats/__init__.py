"""Number formats as data: what each code of a format means.

A format is a frozen literal; everything else (limits, tables, code of NaN) follows from it.
Adding a format is adding one literal to `registry.FAMILIES`.
"""

from fp8core.formats.base import Format
from fp8core.formats.floating import SPECIALS, FloatFormat
from fp8core.formats.integer import IntFormat
from fp8core.formats.parse import parse_format
from fp8core.formats.registry import FAMILIES, FORMATS
from fp8core.formats.table import TableFormat

__all__ = ["FAMILIES", "FORMATS", "SPECIALS", "FloatFormat", "Format", "IntFormat", "TableFormat", "parse_format"]
