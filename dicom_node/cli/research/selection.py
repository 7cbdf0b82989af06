"""Choose the cases of lists that a command looks at: those of one split, or all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dicom_node.cli.options import SplitChoice
from dicom_node.errors import NodeError
from pipeline.cases.case_list import Case, read_cases


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Cases of some lists to score.

    Attributes
    ----------
    split
        None takes test cases if the lists name splits, else all.
    labelled
        Whether every case must have a label.
    """

    files: Sequence[Path]
    split: SplitChoice | None = None
    labelled: bool = True


def select(selection: Selection) -> tuple[Sequence[Case], str]:
    """Read the selected cases; say in words which they are.

    Raises
    ------
    NodeError
        If there are none.
    """
    cases = read_cases(*selection.files, labelled=selection.labelled)
    name = ", ".join(file.name for file in selection.files)
    named = any(case.split is not None for case in cases)
    split = selection.split or (SplitChoice.test if named else SplitChoice.all)
    if split == SplitChoice.all:
        what = "all, whatever their split" if named else "the list names no split"
        return cases, f"{len(cases)} cases of {name} ({what})"
    of_split = [case for case in cases if case.split == str(split)]
    if not of_split:
        raise NodeError(f"{name}: expected cases of split '{split}', got none")
    return of_split, f"{len(of_split)} {split} cases of the {len(cases)} cases of {name}"
