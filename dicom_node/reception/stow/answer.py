"""What a STOW-RS request is answered: status and Store Instances Response (PS3.18 10.5.3)."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom import Dataset
from pydicom.config import disable_value_validation

from dicom_node.reception.instance import OUT_OF_RESOURCES, SUCCESS
from dicom_node.reception.stow.instances import Outcome

ALL, SOME, NONE, NO_ROOM = 200, 202, 409, 503  #: HTTP status codes by what was kept


def status_code(outcomes: Sequence[Outcome]) -> int:
    """Say how many of the instances are kept (PS3.18 Table 10.5.3-1)."""
    kept = [each.status == SUCCESS for each in outcomes]
    if all(kept):
        return ALL
    if any(kept):
        return SOME
    return NO_ROOM if any(each.status == OUT_OF_RESOURCES for each in outcomes) else NONE


def response(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """Make the Store Instances Response in the DICOM JSON Model (PS3.18 I.2, F).

    No Retrieve URL: nothing can be retrieved here.
    """
    answered = Dataset()
    with disable_value_validation():  # some senders' UIDs are none; they are told of as they are
        kept = [_item(each) for each in outcomes if each.status == SUCCESS]
        failed = [_item(each) for each in outcomes if each.status != SUCCESS and each.identity]
        others = [_item(each) for each in outcomes if each.identity is None]
        if kept:
            answered.ReferencedSOPSequence = kept
        if failed:
            answered.FailedSOPSequence = failed
        if others:
            answered.OtherFailuresSequence = others
        return dict(answered.to_json_dict())


def _item(outcome: Outcome) -> Dataset:
    item = Dataset()
    if outcome.identity is not None:
        item.ReferencedSOPClassUID = outcome.identity.sop_class_uid
        item.ReferencedSOPInstanceUID = outcome.identity.sop_instance_uid
    if outcome.status != SUCCESS:
        item.FailureReason = outcome.status
    return item
