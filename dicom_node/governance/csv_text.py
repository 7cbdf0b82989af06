"""Write rows as CSV, in which text of strangers is no formula of a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

FORMULAS = frozenset("=+-@")  #: begin one


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> str:
    """Give rows as text, with a head; what a row lacks is empty."""
    return csv_head(columns) + csv_lines(columns, rows)


def csv_head(columns: Sequence[str]) -> str:
    """Give the names of the columns as a line."""
    stream = io.StringIO()
    csv.writer(stream).writerow(columns)
    return stream.getvalue()


def csv_lines(columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> str:
    """Give rows as lines, without a head."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, restval="")
    writer.writerows({name: plain(value) for name, value in row.items()} for row in rows)
    return stream.getvalue()


def plain(value: str) -> str:
    """Keep text of strangers from being a formula of a spreadsheet, or more than one line."""
    words = "".join(char if char.isprintable() else " " for char in value)
    return f"'{words}" if words[:1] in FORMULAS else words
