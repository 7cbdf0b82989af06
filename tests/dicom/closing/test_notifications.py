"""Performed steps and availability over real associations: kept, refused, and what they close."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association

from dicom_node.network.pynetdicom_internals.reactor_pause import reactor_paused
from dicom_node.network.sop_classes import (
    INSTANCE_AVAILABILITY,
    NOTIFICATION_CLASSES,
    PERFORMED_STEP,
    STORAGE_COMMITMENT,
)
from dicom_node.reception.ingest import InstanceIngest
from dicom_node.reception.notification_reader import MAXIMUM_ITEMS
from dicom_node.reception.notification_scp import NO_LONGER, NotificationScp
from dicom_node.resources import Resources
from storage.overview import overview
from storage.series.notifications import (
    NamedInstances,
    NotificationKind,
    NotificationState,
    named_instances,
)
from tests.support.reception import indexing, listening, open_resources

pytestmark = pytest.mark.database

STEP, NOTE, SERIES, OTHER = "2.25.1", "2.25.2", "2.25.9", "2.25.10"
S = NotificationState
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    return open_resources(tmp_path)


@pytest.fixture
def woken() -> list[bool]:
    return []


@contextmanager
def taking(
    resources: Resources, woken: list[bool], *, fast: bool = True
) -> Iterator[tuple[str, int]]:
    """Run a receiver that takes notifications, and records refusals at its end."""
    with indexing(resources) as index:
        ingest = InstanceIngest(resources, index)
        scp = NotificationScp(resources, ingest.record_refusal, lambda: woken.append(True))
        with listening(
            ingest, fast=fast, services=scp.handlers, notified=NOTIFICATION_CLASSES
        ) as address:
            yield address
        ingest.refusals.flush()


@pytest.fixture
def address(resources: Resources, woken: list[bool]) -> Iterator[tuple[str, int]]:
    with taking(resources, woken) as address:
        yield address


@contextmanager
def calling(address: tuple[str, int], title: str = "CT1") -> Iterator[Association]:
    ae = AE(title)
    for sop_class in (PERFORMED_STEP, INSTANCE_AVAILABILITY):
        ae.add_requested_context(sop_class)
    assoc = ae.associate(*address, ae_title="AINODE")
    assert assoc.is_established
    yield assoc
    assoc.release()


def item(**values: object) -> Dataset:
    ds = Dataset()
    with disable_value_validation():
        for name, value in values.items():
            setattr(ds, name, value)
    return ds


def step(state: str, *series: tuple[str, list[str]]) -> Dataset:
    ds = item(PerformedProcedureStepStatus=state, PatientName="Muster^Max")
    if series:
        ds.PerformedSeriesSequence = Sequence(
            item(
                SeriesInstanceUID=uid,
                ReferencedImageSequence=Sequence(
                    item(ReferencedSOPInstanceUID=one) for one in instances
                ),
            )
            for uid, instances in series
        )
    return ds


def availability(uid: str, instances: dict[str, str]) -> Dataset:
    return item(
        ReferencedSeriesSequence=Sequence(
            [
                item(
                    SeriesInstanceUID=uid,
                    ReferencedSOPSequence=Sequence(
                        item(ReferencedSOPInstanceUID=one, InstanceAvailability=how)
                        for one, how in instances.items()
                    ),
                )
            ]
        )
    )


def create(assoc: Association, ds: Dataset, uid: str, sop_class: str = PERFORMED_STEP) -> Dataset:
    with reactor_paused(assoc):
        return assoc.send_n_create(ds, sop_class, uid)[0]


def change(assoc: Association, ds: Dataset, uid: str = STEP) -> Dataset:
    with reactor_paused(assoc):
        return assoc.send_n_set(ds, PERFORMED_STEP, uid)[0]


def named(resources: Resources, series: str = SERIES) -> tuple[NamedInstances, ...]:
    with resources.sessions() as session:
        return tuple(replace(one, changed_at=NOW) for one in named_instances(session, series))


def of_step(state: NotificationState, *instances: str) -> NamedInstances:
    return NamedInstances(
        kind=NotificationKind.PROCEDURE_STEP,
        state=state,
        instances=frozenset(instances),
        changed_at=NOW,
    )


def test_a_step_from_its_beginning_to_its_end(
    address: tuple[str, int], resources: Resources, woken: list[bool]
) -> None:
    with calling(address) as assoc:
        assert create(assoc, step("IN PROGRESS"), STEP).Status == 0x0000
        assert named(resources) == ()
        assert change(assoc, step("IN PROGRESS", (SERIES, ["1.1"]))).Status == 0x0000
        assert named(resources) == (of_step(S.IN_PROGRESS, "1.1"),)
        whole = step("COMPLETED", (SERIES, ["1.1", "1.2", "1.2"]), (OTHER, ["1.3"]))
        assert change(assoc, whole).Status == 0x0000
        assert named(resources) == (of_step(S.COMPLETED, "1.1", "1.2"),)
        assert named(resources, OTHER) == (of_step(S.COMPLETED, "1.3"),)

        late = change(assoc, step("COMPLETED", (SERIES, ["1.1"])))
        assert (late.Status, late.ErrorID) == (0x0110, NO_LONGER)
        assert named(resources) == (of_step(S.COMPLETED, "1.1", "1.2"),)
        assert create(assoc, step("IN PROGRESS"), STEP).Status == 0x0111
    assert len(woken) == 3


def test_an_end_without_images_keeps_what_was_named(
    address: tuple[str, int], resources: Resources
) -> None:
    with calling(address) as assoc:
        create(assoc, step("IN PROGRESS", (SERIES, ["1.1"])), STEP)
        assert change(assoc, step("DISCONTINUED")).Status == 0x0000
    assert named(resources) == (of_step(S.DISCONTINUED, "1.1"),)


def test_available_instances_are_kept_and_others_left_out(
    address: tuple[str, int], resources: Resources
) -> None:
    note = availability(SERIES, {"1.1": "ONLINE", "1.2": "NEARLINE", "1.3": "UNAVAILABLE"})
    with calling(address, "ARCHIVE") as assoc:
        assert create(assoc, note, NOTE, INSTANCE_AVAILABILITY).Status == 0x0000
        assert create(assoc, note, NOTE, INSTANCE_AVAILABILITY).Status == 0x0111
        assert change(assoc, step("COMPLETED"), NOTE).Status == 0x0112
    (kept,) = named(resources)
    assert kept.kind is NotificationKind.AVAILABILITY
    assert (kept.state, kept.instances) == (S.AVAILABLE, {"1.1", "1.2"})


NO_STEPS = [
    (step("COMPLETED"), 0x0106),
    (step("ODD"), 0x0106),
    (item(Modality="CT"), 0x0120),
    (step("IN PROGRESS", ("not a UID", ["1.1"])), 0x0106),
    (step("IN PROGRESS", (SERIES, [""])), 0x0106),
    (step("IN PROGRESS", *((f"2.25.{n}", ["1"]) for n in range(1, 1002))), 0x0213),
    (step("IN PROGRESS", (SERIES, ["1"] * MAXIMUM_ITEMS)), 0x0213),
]


def test_what_is_no_step_is_refused(address: tuple[str, int], resources: Resources) -> None:
    with calling(address) as assoc, disable_value_validation():
        answers = [create(assoc, ds, STEP).Status for ds, _ in NO_STEPS]
    assert answers == [status for _, status in NO_STEPS]
    assert named(resources) == ()


def test_a_step_of_very_many_images_is_kept(address: tuple[str, int], resources: Resources) -> None:
    root = "1.2.840.113619.2.55.3.604688119.971.1234567890.123456789"
    images = [f"{root}.{number}" for number in range(16_000)]  # 1.2 MiB
    with calling(address) as assoc:
        assert create(assoc, step("IN PROGRESS"), STEP).Status == 0x0000
        assert change(assoc, step("COMPLETED", (SERIES, images))).Status == 0x0000
        assert change(assoc, step("COMPLETED")).Status == 0x0110
    assert named(resources) == (of_step(S.COMPLETED, *images),)


def test_a_step_belongs_to_who_began_it(address: tuple[str, int], resources: Resources) -> None:
    with calling(address) as assoc:
        assert change(assoc, step("COMPLETED")).Status == 0x0112
        create(assoc, step("IN PROGRESS", (SERIES, ["1.1"])), STEP)
    with calling(address, "OTHER") as assoc:
        assert change(assoc, step("COMPLETED")).Status == 0x0124
    assert named(resources) == (of_step(S.IN_PROGRESS, "1.1"),)


def test_no_deflated_data_set_is_taken_it_could_inflate_without_end(
    address: tuple[str, int],
) -> None:
    ae = AE("CT1")
    for sop_class in (PERFORMED_STEP, INSTANCE_AVAILABILITY, STORAGE_COMMITMENT):
        ae.add_requested_context(sop_class, DeflatedExplicitVRLittleEndian)
    assoc = ae.associate(*address, ae_title="AINODE")
    assert assoc.accepted_contexts == []
    assoc.abort()


def test_refusals_name_no_patient_and_the_stock_path_answers_the_same(
    resources: Resources,
) -> None:
    with taking(resources, [], fast=False) as address, calling(address) as assoc:
        assert create(assoc, step("COMPLETED"), STEP).Status == 0x0106
        assert create(assoc, step("IN PROGRESS"), STEP).Status == 0x0000
        assert change(assoc, step("COMPLETED", (SERIES, ["1.1"]))).Status == 0x0000
    assert named(resources) == (of_step(S.COMPLETED, "1.1"),)
    with resources.sessions() as session:
        (refusal,) = overview(session).refusals
    assert (refusal.what, refusal.reason) == ("a notification", "a step begins IN PROGRESS")
