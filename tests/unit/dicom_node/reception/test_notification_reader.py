"""The names in a notification are read as pydicom would, in bounded memory, whatever their form."""

from contextlib import suppress

import pytest
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from dicom_node.reception import notification_reader
from dicom_node.reception.notification_reader import (
    OF_AVAILABILITY,
    OF_STEP,
    NamedReference,
    NotificationContent,
    ReferencedSeries,
    TooManyItems,
    read_notification,
)

EXPECTED = NotificationContent(
    status="COMPLETED",
    series=[
        ReferencedSeries("2.25.9", [NamedReference("1.1"), NamedReference("1.2", "ONLINE")]),
        ReferencedSeries("2.25.10", []),
    ],
)


def item(**values: object) -> Dataset:
    ds = Dataset()
    for name, value in values.items():
        setattr(ds, name, value)
    return ds


def misleading() -> Sequence:
    """A sequence that is not the one that names."""
    inside = item(ReferencedSOPInstanceUID="9.9", SeriesInstanceUID="9.8")
    return Sequence([item(ReferencedImageSequence=Sequence([inside]), SeriesInstanceUID="9.7")])


def step() -> Dataset:
    references = Sequence(
        [
            item(ReferencedSOPClassUID="1.2", ReferencedSOPInstanceUID="1.1"),
            item(ReferencedSOPInstanceUID="1.2", InstanceAvailability="ONLINE"),
        ]
    )
    first = item(
        SeriesInstanceUID="2.25.9",
        ReferencedImageSequence=references,
        ReferencedNonImageCompositeSOPInstanceSequence=misleading(),
        PerformingPhysicianName="A^B",
    )
    series = Sequence([first, item(SeriesInstanceUID="2.25.10")])
    return item(
        PerformedProcedureStepStatus="COMPLETED",
        PerformedSeriesSequence=series,
        ScheduledStepAttributesSequence=misleading(),
    )


def encoded(ds: Dataset, *, is_implicit: bool, is_undefined: bool) -> bytes:
    def of_length(each: Dataset) -> None:
        each.is_undefined_length_sequence_item = is_undefined
        for element in each:
            if element.VR == "SQ":
                element.is_undefined_length = is_undefined
                for inner in element.value:
                    of_length(inner)

    of_length(ds)
    to = DicomBytesIO()
    to.is_little_endian, to.is_implicit_VR = True, is_implicit
    write_dataset(to, ds)
    return to.getvalue()


@pytest.mark.parametrize("is_undefined", [True, False])
@pytest.mark.parametrize("is_implicit", [True, False])
def test_a_step_is_read_in_every_form(is_implicit: bool, is_undefined: bool) -> None:
    data = encoded(step(), is_implicit=is_implicit, is_undefined=is_undefined)

    assert read_notification(data, OF_STEP, is_implicit=is_implicit) == EXPECTED

    nothing = NotificationContent(status="COMPLETED")
    assert read_notification(data, OF_AVAILABILITY, is_implicit=is_implicit) == nothing
    for size in range(len(data)):  # cut short: no other error than its own
        with suppress(ValueError):
            read_notification(data[:size], OF_STEP, is_implicit=is_implicit)
    for at in range(len(data)):
        with suppress(ValueError):
            odd = data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
            read_notification(odd, OF_STEP, is_implicit=is_implicit)


def test_no_sequence_is_other_than_an_empty_one() -> None:
    empty = item(PerformedSeriesSequence=Sequence([]))
    data = encoded(empty, is_implicit=True, is_undefined=False)
    assert read_notification(data, OF_STEP, is_implicit=True).series == []
    assert read_notification(b"", OF_STEP, is_implicit=True).series is None


def test_items_and_depth_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notification_reader, "MAXIMUM_ITEMS", 8)
    data = encoded(step(), is_implicit=True, is_undefined=True)
    read_notification(data, OF_STEP, is_implicit=True)
    monkeypatch.setattr(notification_reader, "MAXIMUM_ITEMS", 7)
    with pytest.raises(TooManyItems):
        read_notification(data, OF_STEP, is_implicit=True)
    monkeypatch.undo()
    deep = item(SeriesInstanceUID="1")
    for _ in range(12):
        deep = item(ScheduledStepAttributesSequence=Sequence([deep]))
    with pytest.raises(ValueError, match="too many"):
        read_notification(
            encoded(deep, is_implicit=True, is_undefined=True), OF_STEP, is_implicit=True
        )
