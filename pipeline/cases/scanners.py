"""Name the scanner of a case, and its group: as the list does, or else as the images do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from pipeline.cases.case_list import Case
from pipeline.errors import PipelineError
from pipeline.series.attributes import scanner_of
from pipeline.series.common_header import common_header

FEWEST_GROUPS = 2  #: one is left out, the others are trained on


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseScanner:
    """Scanner of a case.

    Attributes
    ----------
    group
        As the list names it; where it does not, as `name`. Empty if nobody says.
    name
        As the node names the scanner of the images; where they do not say, as `group`.
    """

    group: str
    name: str


def case_scanner(case: Case) -> CaseScanner:
    """Name the scanner of a case, whose headers are read if it is a folder of DICOM files."""
    found = _of_images(case.path)
    group = case.scanner or found
    return CaseScanner(group=group, name=found or group)


def group_of(case: Case) -> str:
    """Name the group of a case's scanner; its headers are read only if the list has no word."""
    return case.scanner or _of_images(case.path)


def scanner_groups(cases: Sequence[Case]) -> tuple[str, ...]:
    """Name the group of each case, so that each group can be left out of a training.

    Raises
    ------
    PipelineError
        If there are fewer than `FEWEST_GROUPS`, a case is of no group, or a patient of two.
    """
    groups = tuple(map(group_of, cases))
    if faults := [*_unnamed(cases, groups), *_patients_of_two(cases, groups)]:
        raise PipelineError("; ".join(faults))
    if len(set(groups)) < FEWEST_GROUPS:
        raise PipelineError(
            f"at least {FEWEST_GROUPS} groups of scanners expected to leave one out,"
            f" got {', '.join(sorted(set(groups)))} alone"
        )
    return groups


def named_scanners(cases: Sequence[Case]) -> tuple[CaseScanner, ...]:
    """Name the scanner of each case, so that a scanner tells its group.

    Raises
    ------
    PipelineError
        If a case is of no group, or a scanner of two.
    """
    found = tuple(map(case_scanner, cases))
    faults = list(_unnamed(cases, [one.group for one in found]))
    firsts: dict[str, tuple[Case, str]] = {}
    for case, one in zip(cases, found, strict=True):
        first, of_first = firsts.setdefault(one.name, (case, one.group))
        if one.group != of_first:
            faults.append(
                f"{case.place}: the group of the scanner {one.name} in {first.place} expected"
                f" ({of_first}), got {one.group}"
            )
    if faults:
        raise PipelineError("; ".join(faults))
    return found


def _unnamed(cases: Sequence[Case], groups: Sequence[str]) -> Iterator[str]:
    for case, group in zip(cases, groups, strict=True):
        if not group:
            yield (
                f"{case.place}: a scanner expected, got none: neither the column scanner nor"
                " its images name one"
            )


def _patients_of_two(cases: Sequence[Case], groups: Sequence[str]) -> Iterator[str]:
    """Name rows whose patient has an earlier row of another group: no patient is on both sides."""
    firsts: dict[str, tuple[Case, str]] = {}
    for case, group in zip(cases, groups, strict=True):
        first, of_first = firsts.setdefault(case.patient, (case, group))
        if group != of_first:
            yield (
                f"{case.place}: the scanner group of the patient's row in {first.place} expected"
                f" ({of_first}), got {group}: no patient may be on both sides"
            )


def _of_images(path: Path) -> str:
    headers = list(_headers(path)) if path.is_dir() else []
    return scanner_of(common_header(headers).header) if headers else ""


def _headers(folder: Path) -> Iterator[Dataset]:
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            yield dcmread(file, stop_before_pixels=True)
        except InvalidDicomError:  # a note, or the like
            continue
