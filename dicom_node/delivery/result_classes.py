"""SOP classes that this node sends: one row for each form of a result kind."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.uid import UID

from pipeline.encode.result.kinds import LABEL_MAP_STORAGE, RESULT_KINDS, ResultKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultClass:
    """A kind of result in one form.

    Attributes
    ----------
    setting
        Key and value in the section ``[results]`` that ask for it; empty if it is always made.
    transfer_syntax
        In which it is kept.
    """

    kind: ResultKind
    sop_class: UID
    setting: str
    transfer_syntax: UID


RESULT_CLASSES = tuple(
    ResultClass(
        kind=kind,
        sop_class=form.sop_class,
        setting=form.setting,
        transfer_syntax=form.transfer_syntax,
    )
    for kind, row in RESULT_KINDS.items()
    for form in row.forms
)
"""In the order of sending."""


def class_name(sop_class_uid: str) -> str:
    """Name of a SOP class, also of one newer than pydicom's dictionary."""
    if sop_class_uid == LABEL_MAP_STORAGE:
        return "Label Map Segmentation Storage"
    return UID(sop_class_uid).name
