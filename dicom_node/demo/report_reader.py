"""Read the measurements of a Structured Report as lines of text."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom import Dataset

UNITS = {"1": "", "[hnsf'U]": " HU"}  #: UCUM codes that a person writes in another way
MEASUREMENT_GROUP = "125007"  #: DCM, PS3.16 TID 1501 and 1411
TRACKING_ID = "112039"  #: DCM, Tracking Identifier
COMMENT = "121106"  #: DCM, Comment: the numbers once more, for viewers


def statements(report: Dataset) -> Iterator[tuple[int, str]]:
    """Yield the depth and the text of each number, code and text in the measurement groups."""
    for group in _groups(report):
        yield 0, _tracking(group) or "measurements"
        for item in group.get("ContentSequence", []):
            if (line := _line(item)) is not None:
                yield 1, line


def _groups(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence", []):
        if _code(child) == MEASUREMENT_GROUP:
            yield child
        else:
            yield from _groups(child)


def _code(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].CodeValue) if names else ""


def _name(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeMeaning)


def _tracking(group: Dataset) -> str:
    items = group.get("ContentSequence", [])
    return next((str(item.TextValue) for item in items if _code(item) == TRACKING_ID), "")


def _line(item: Dataset) -> str | None:
    match item.ValueType:
        case "NUM" if item.MeasuredValueSequence:
            value = item.MeasuredValueSequence[0]
            unit = value.MeasurementUnitsCodeSequence[0].CodeValue
            return f"{_name(item)}: {float(value.NumericValue):g}{UNITS.get(unit, f' {unit}')}"
        case "CODE":
            return f"{_name(item)}: {item.ConceptCodeSequence[0].CodeMeaning}"
        case "TEXT" if _code(item) not in {TRACKING_ID, COMMENT}:
            return f"{_name(item)}: {item.TextValue}"
        case _:
            return None
