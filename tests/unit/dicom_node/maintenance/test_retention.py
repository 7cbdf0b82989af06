"""Retention with real files and rows: series removed, series kept, and recovery from a crash."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import QueuePool, update
from structlog.testing import capture_logs

from config.settings import Settings, StorageSettings
from dicom_node.analysis.worker.messages import Unchanged
from dicom_node.assembly.rerun_requests import request_reruns
from dicom_node.maintenance.confirmed_clock import ConfirmedClock
from dicom_node.maintenance.retention import PART, RetentionJob, RowRetention
from dicom_node.resources import Resources
from storage.database.schema import Delivery, Instance, Result, Series
from storage.delivery.outbox import Settlement, claim, due, settle
from storage.errors import StaleState
from storage.files.folder import StorageFolder
from storage.files.identity_key import IDENTITY_KEY
from storage.files.installation import STATION
from storage.files.removal_lock import REMOVAL_LOCK
from storage.files.sums import SUMS
from storage.maintenance.purge import mark_for_purge, series_usages, unfinished_purges
from storage.maintenance.retention import RetentionRules, choose
from storage.overview import overview
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import known_among, record_instance
from storage.series.lifecycle import close, receiving
from storage.series.quarantine_and_refusals import record_quarantine
from storage.series.rerun import mark_for_rerun
from storage.states import DeliveryState, Rerun, SeriesState
from tests.support.databases import database_url
from tests.support.dispatcher_samples import NOW, RESULT, Workers, dispatcher, line, open_resources

pytestmark = pytest.mark.database

DAY = timedelta(days=1)
RULES = RetentionRules(keep=30 * DAY)


class Killed(Exception):
    """What the crash hook raises."""


def instance(uid: str) -> InstanceFacts:
    return InstanceFacts(
        sop_instance_uid=uid,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        series_instance_uid="2.25.2",
        study_instance_uid="2.25.3",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality="CT",
        calling_ae="SCANNER",
        path=f"incoming/00/{uid}.dcm",
        digest="0" * 64,
        bytes=1,
    )


PATHS = [instance(uid).path for uid in ("2.25.11", "2.25.12")]


def put(resources: Resources, path: str, at: datetime = NOW) -> None:
    """Write a file, then or then."""
    resources.folder.locate(path).parent.mkdir(exist_ok=True)
    resources.folder.locate(path).write_bytes(b"x")
    touch(resources, path, at)


def touch(resources: Resources, path: str, at: datetime) -> None:
    os.utime(resources.folder.locate(path), (at.timestamp(), at.timestamp()))


def arrive(resources: Resources, *uids: str, at: datetime = NOW) -> None:
    with resources.sessions.begin() as session:
        for uid in uids:
            put(resources, instance(uid).path, at)
            record_instance(session, instance(uid), at)
        for quiet in receiving(session):
            close(session, quiet, at)


def deliver(resources: Resources, state: DeliveryState = DeliveryState.ACCEPTED) -> None:
    with resources.sessions.begin() as session:
        claimed = claim(session, due(session, "PACS", NOW, 99))
        settle(session, [Settlement(id=delivery.id, state=state) for delivery in claimed], NOW)


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    """A series of two instances, analysed and encoded at NOW."""
    resources = open_resources(tmp_path)
    arrive(resources, "2.25.11", "2.25.12")
    dispatcher(resources, Workers(RESULT)).dispatch()
    touch(resources, "results/k1", NOW)
    return resources


def after(
    resources: Resources,
    days: float,
    rules: RetentionRules = RULES,
    *,
    condense: timedelta | None = None,
    **more: int,
) -> RetentionJob:
    """The job of a node that has run all the time."""
    clock, steady = [NOW], [0.0]
    confirmed = ConfirmedClock(lambda: clock[0], steady=lambda: steady[0])
    confirmed.look(NOW)
    clock[0] += days * DAY
    steady[0] += days * 86400
    return RetentionJob(
        resources=replace(resources, clock=lambda: clock[0]),
        rules=rules,
        clock=confirmed,
        rows=RowRetention(resources=resources, condense=condense),
        **more,
    )


def files(resources: Resources) -> list[str]:
    found = (path for path in resources.folder.root.rglob("*") if path.is_file())
    others = {STATION, IDENTITY_KEY, REMOVAL_LOCK}
    return sorted(
        path.name for path in found if path.name not in others and "sqlite" not in path.name
    )


KEPT = sorted(
    [
        "2.25.11.dcm",
        "2.25.12.dcm",
        "0000-segmentation.dcm",
        "0001-report.dcm",
        "analysis.npz",
        SUMS,
    ]
)


def test_what_was_delivered_goes_when_its_time_is_over_and_its_rows_stay(
    resources: Resources,
) -> None:
    deliver(resources)

    after(resources, 29.9).run_once()
    assert files(resources) == KEPT
    after(resources, 30.1).run_once()

    assert files(resources) == []
    assert (line(resources).state, line(resources).score) == (SeriesState.DELIVERED, 0.7)
    with resources.sessions() as session:
        assert session.get_one(Result, "k1").purged_at == NOW + 30.1 * DAY
        assert session.get_one(Instance, ("2.25.11", "0" * 64)).purged_at is not None


def test_what_is_not_delivered_stays_however_old(resources: Resources) -> None:
    after(resources, 3000, free_bytes=2**62).run_once()
    assert files(resources) == KEPT


def test_a_destination_with_commitment_must_have_committed(resources: Resources) -> None:
    deliver(resources)
    rules = replace(RULES, committing=frozenset({"PACS"}))

    after(resources, 31, rules).run_once()

    assert files(resources) == KEPT


def test_what_was_delivered_goes_early_when_there_is_no_room(resources: Resources) -> None:
    deliver(resources)

    after(resources, 0.01, RetentionRules(keep=None), free_bytes=2**62).run_once()
    assert files(resources) == KEPT  # too young all the same
    after(resources, 0.1, RetentionRules(keep=None), free_bytes=2**62).run_once()

    assert files(resources) == []


@pytest.mark.parametrize("at", range(1, 5))
def test_a_crash_while_files_go_is_taken_up_by_the_next_round(
    resources: Resources, at: int
) -> None:
    deliver(resources)
    steps = iter(range(1, 9))

    def crash(_: str) -> None:
        if next(steps) == at:
            raise Killed

    dying = replace(resources, folder=StorageFolder(resources.folder.root, 0, step=crash))
    if at <= 3:  # two instances, one result
        with pytest.raises(Killed):
            after(dying, 31).run_once()
        with resources.sessions() as session:  # a start in between takes nothing up again
            assert known_among(session, PATHS) == set(PATHS)

    after(resources, 31).run_once()

    assert files(resources) == []
    with resources.sessions() as session:
        assert known_among(session, PATHS) == set()


def test_what_comes_again_after_the_mark_is_not_removed(resources: Resources) -> None:
    deliver(resources)

    def come_again(_: str) -> None:
        if resources.folder.locate(instance("2.25.12").path).exists():
            put(resources, instance("2.25.12").path, NOW + 31 * DAY)

    slow = replace(resources, folder=StorageFolder(resources.folder.root, 0, step=come_again))
    after(slow, 31).run_once()

    assert files(resources) == ["2.25.12.dcm"]
    with resources.sessions() as session:  # so that a start would take it up
        assert known_among(session, PATHS) == set()


def test_what_came_again_just_before_stays_whole(resources: Resources) -> None:
    deliver(resources)
    put(resources, instance("2.25.12").path, NOW + 31 * DAY)

    after(resources, 31).run_once()

    assert files(resources) == KEPT


def test_a_late_instance_of_a_purged_series_is_told_not_analysed(resources: Resources) -> None:
    deliver(resources)
    after(resources, 31).run_once()

    arrive(resources, "2.25.13", at=NOW + 32 * DAY)
    workers = Workers()
    dispatcher(resources, workers, wanted="no").dispatch()

    assert workers.requests == []
    assert (line(resources).state, line(resources).generation) == (SeriesState.UNSUITABLE, 2)
    assert line(resources).reason.startswith("instances-removed: 2 of its 3 instances are not kept")


@pytest.mark.parametrize(
    ("delivered", "state"),
    [
        (DeliveryState.ACCEPTED, SeriesState.DELIVERED),
        (DeliveryState.REFUSED, SeriesState.FAILED),
    ],
)
@pytest.mark.parametrize("again", [("2.25.11", "2.25.12"), ("2.25.12",)], ids=["whole", "half"])
def test_a_purged_series_sent_again_is_no_news(
    resources: Resources, again: tuple[str, ...], delivered: DeliveryState, state: SeriesState
) -> None:
    """Neither reopened nor superseded: its result stands; the files are kept for their time."""
    deliver(resources, delivered)
    after(resources, 31).run_once()

    arrive(resources, *again, at=NOW + 32 * DAY)
    workers = Workers(Unchanged())
    dispatcher(resources, workers).dispatch()

    assert workers.requests == []
    assert (line(resources).state, line(resources).generation) == (state, 1)
    assert line(resources).deliveries == {delivered: 2}
    after(resources, 33).run_once()
    assert files(resources) == [f"{uid}.dcm" for uid in again]
    after(resources, 63).run_once()
    assert files(resources) == []


def test_a_purged_series_that_gets_other_bytes_is_reopened(resources: Resources) -> None:
    deliver(resources)
    after(resources, 31).run_once()
    other = replace(instance("2.25.12"), digest="other", path="incoming/other.dcm")
    with resources.sessions.begin() as session:
        put(resources, other.path)
        assert record_instance(session, other, NOW + 32 * DAY)
        (found,) = receiving(session)
    assert found.generation == 2


@pytest.mark.parametrize("wish", Rerun)
def test_a_wish_for_a_purged_series_is_refused_with_the_reason(
    resources: Resources, wish: Rerun
) -> None:
    deliver(resources)
    after(resources, 31).run_once()

    folder = resources.folder.root
    settings = Settings(storage=StorageSettings(folder=folder, database_url=database_url(folder)))
    (outcome,) = request_reruns(settings, wish)

    assert outcome.refused
    assert "2 of its instances are not kept any more" in outcome.text


def test_the_quarantine_is_emptied_in_its_time(resources: Resources) -> None:
    for number, days in enumerate((0, 50)):
        put(resources, f"quarantine/{number}", NOW + days * DAY)
        with resources.sessions.begin() as session:
            record_quarantine(
                session, f"quarantine/{number}", NOW + days * DAY, reason="r", calling_ae="CT1"
            )
    purging = replace(after(resources, 91), keep_quarantine=90 * DAY)

    purging.run_once()

    assert "0" not in files(resources)
    assert "1" in files(resources)
    with resources.sessions() as session:
        assert [line.path for line in overview(session).quarantine] == ["quarantine/1"]


def test_a_clock_set_forward_removes_nothing_until_it_has_held_for_a_day(
    resources: Resources,
) -> None:
    deliver(resources)
    clock, steady = [NOW], [0.0]
    job = RetentionJob(
        resources=replace(resources, clock=lambda: clock[0]),
        rules=RULES,
        clock=ConfirmedClock(lambda: clock[0], steady=lambda: steady[0]),
        rows=RowRetention(resources=resources),
    )
    job.run_once()
    clock[0] += 40 * DAY

    for hour in range(24):
        steady[0] = hour * 3600.0
        job.run_once()
        assert files(resources) == KEPT
    assert [fault.part for fault in resources.health.snapshot()] == [PART]

    steady[0] += 3600
    job.run_once()
    assert files(resources) == []
    assert resources.health.snapshot() == ()


def test_a_start_under_a_wrong_clock_removes_nothing(resources: Resources) -> None:
    deliver(resources)
    job = RetentionJob(
        resources=replace(resources, clock=lambda: NOW + 40 * DAY),
        rules=RULES,
        clock=ConfirmedClock(lambda: NOW + 40 * DAY, steady=lambda: 0.0),
        free_bytes=2**62,
        rows=RowRetention(resources=resources),
    )

    job.run_once()

    assert files(resources) == KEPT


def rerun_requested(resources: Resources) -> None:
    with resources.sessions.begin() as session:
        mark_for_rerun(session, "2.25.2", Rerun.REPROCESS)


def received_again(resources: Resources) -> None:
    arrive(resources, "2.25.13", at=NOW + 30 * DAY)


def delivery_begun_again(resources: Resources) -> None:
    with resources.sessions.begin() as session:
        session.execute(update(Delivery).values(state=DeliveryState.PENDING))


@pytest.mark.parametrize("change", [rerun_requested, received_again, delivery_begun_again])
def test_a_series_that_changes_after_it_was_chosen_stays(
    resources: Resources, change: Callable[[Resources], None]
) -> None:
    deliver(resources)
    later = NOW + 31 * DAY
    with resources.sessions() as session:
        assert choose(series_usages(session), RULES, later) == ["2.25.2"]

    change(resources)
    stale = pytest.raises(StaleState, match="has changed since it was chosen")
    with stale, resources.sessions.begin() as session:
        mark_for_purge(session, "2.25.2", RULES, later)
    after(resources, 31)._mark("2.25.2", later)

    with resources.sessions() as session:
        assert unfinished_purges(session) == []
    after(resources, 31)._remove_marked()
    assert set(KEPT) <= set(files(resources))


def test_a_series_whose_files_cannot_be_removed_holds_up_no_other(resources: Resources) -> None:
    deliver(resources)
    other = replace(instance("2.25.77"), series_instance_uid="2.25.7", path="incoming/01/77.dcm")
    with resources.sessions.begin() as session:
        put(resources, other.path)
        record_instance(session, other, NOW)
        session.execute(
            update(Series)
            .where(Series.series_instance_uid == "2.25.7")
            .values(state=SeriesState.UNSUITABLE)
        )
    place = resources.folder.locate("incoming/00")
    place.rename(place.with_name("away"))
    place.symlink_to("00")  # whatever looks at it fails, as on a disk that is out of order

    with capture_logs() as logged:
        after(resources, 31).run_once()

    told = [line["series_uid"] for line in logged if line["event"] == "removal_failed"]
    assert told == ["2.25.2"]
    assert not resources.folder.locate(other.path).exists()
    place.unlink()
    place.with_name("away").rename(place)
    after(resources, 31).run_once()
    assert files(resources) == []


def test_what_is_marked_and_cannot_be_removed_is_tried_again(resources: Resources) -> None:
    deliver(resources)
    with resources.sessions.begin() as session:
        mark_for_purge(session, "2.25.2", RULES, NOW + 31 * DAY)
    place = resources.folder.locate("incoming/00")
    place.rename(place.with_name("away"))
    place.symlink_to("00")

    after(resources, 31).run_once()

    with resources.sessions() as session:
        assert [one.series_instance_uid for one in unfinished_purges(session)] == ["2.25.2"]
    place.unlink()
    place.with_name("away").rename(place)
    after(resources, 31).run_once()
    assert files(resources) == []
    with resources.sessions() as session:
        assert unfinished_purges(session) == []


def test_no_file_is_looked_at_within_a_transaction(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL ends one that does nothing, and a network folder may be slow."""
    deliver(resources)
    pool, look = resources.sessions._database.pool, resources.folder.written_at
    assert isinstance(pool, QueuePool)
    busy: list[int] = []

    def written_at(path: str) -> datetime | None:
        busy.append(pool.checkedout())
        return look(path)

    monkeypatch.setattr(resources.folder, "written_at", written_at)
    after(resources, days=31).run_once()
    assert set(busy) == {0}
    assert files(resources) == []
