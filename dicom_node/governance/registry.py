"""Write records of results for a registry, as CSV or as JSON, a part at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from dicom_node.governance.csv_text import csv_head, csv_lines
from dicom_node.governance.result_records import FIELDS, Record

COLUMNS = tuple(f"{group}_{name}" for group, names in FIELDS.items() for name in names)


def as_csv(records: Iterable[Record]) -> Iterator[str]:
    """Write a head, and a line for each record; a column is named by its group and its name."""
    yield csv_head(COLUMNS)
    for record in records:
        cells = {
            f"{group}_{name}": _cell(record[group][name])
            for group, names in FIELDS.items()
            for name in names
        }
        yield csv_lines(COLUMNS, [cells])


def _cell(value: Any) -> str:  # noqa: ANN401  # whatever JSON holds
    """Write a value; several are divided by semicolons, numbers of something stand before it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{count} {name}" for name, count in value.items())
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return str(value)


def as_json(records: Iterable[Record]) -> Iterator[str]:
    """Write a list of objects, one a line, with an object for each group."""
    before = "[\n"
    for record in records:
        yield before + json.dumps(record, ensure_ascii=False)
        before = ",\n"
    yield "\n]\n" if before != "[\n" else "[]\n"


FORMS: Mapping[str, Callable[[Iterable[Record]], Iterator[str]]] = MappingProxyType(
    {".csv": as_csv, ".json": as_json}
)
"""Forms in which records are written, by the ending of the file."""
