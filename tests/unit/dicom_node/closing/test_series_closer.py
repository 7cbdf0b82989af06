"""Quiet series are closed, each after the quiet time of its sender, and analysis is woken."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event

from dicom_node.closing.decision import SETTLED_SECONDS, Counted, Ends
from dicom_node.closing.policy import ClosingPolicy
from dicom_node.closing.series_closer import SeriesCloser, is_of_earlier_day
from dicom_node.closing.series_watch import SeriesWatch, quiet_seconds
from dicom_node.resources import Resources
from storage.overview import overview
from storage.series.closings import waits
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import record_instance
from storage.series.lifecycle import (
    OpenSeries,
    claim_next,
    give_back,
    locked,
    receiving,
    ticket_of,
)
from storage.series.lifecycle import close as close_series
from storage.series.notifications import (
    Notice,
    NotificationKind,
    NotificationState,
    keep_notice,
)
from storage.series.slices import SliceFacts
from tests.support.reception import open_resources

pytestmark = pytest.mark.database

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def instance(uid: str, series: str, calling_ae: str) -> InstanceFacts:
    return InstanceFacts(
        sop_instance_uid=uid,
        series_instance_uid=series,
        study_instance_uid="1",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality="CT",
        path=f"incoming/00/{uid}.dcm",
        digest=uid,
        bytes=1,
        calling_ae=calling_ae,
    )


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (9.9, set()),
        (10, {"9"}),
        (119, {"9"}),
        (120, {"9", "10"}),
        (-9.9, set()),  # the clock was put back a little
        (-10, {"9"}),  # and so far that waiting for it to catch up could take hours
    ],
)
def test_quiet_time_depends_on_the_sender(
    tmp_path: Path, seconds: float, expected: set[str]
) -> None:
    clock = [NOW]
    resources = replace(open_resources(tmp_path), clock=lambda: clock[0])
    with resources.sessions.begin() as session:
        record_instance(session, instance("1", "9", "CT1"), NOW)
        record_instance(session, instance("2", "10", "ROUTER"), NOW)
    woken: list[bool] = []
    steady = [0.0]
    watch = SeriesWatch(steady=lambda: steady[0])
    close(resources, watch, woken)
    clock[0] += timedelta(seconds=seconds)
    steady[0] = abs(seconds)

    close(resources, watch, woken)

    assert stable(resources) == expected
    assert bool(woken) == bool(expected)


@pytest.mark.parametrize("jump", [timedelta(days=2), timedelta(days=-2)])
def test_a_clock_that_is_set_closes_nothing(tmp_path: Path, jump: timedelta) -> None:
    clock, steady = [NOW], [0.0]
    resources = replace(open_resources(tmp_path), clock=lambda: clock[0])
    watch = SeriesWatch(steady=lambda: steady[0])
    with resources.sessions.begin() as session:
        record_instance(session, instance("1", "9", "CT1"), NOW)
    close(resources, watch)

    clock[0], steady[0] = NOW + jump, 9.9
    close(resources, watch)
    assert stable(resources) == set()

    with resources.sessions.begin() as session:  # one more instance: it is watched anew
        record_instance(session, instance("2", "9", "CT1"), clock[0])
    steady[0] = 12.0
    close(resources, watch)
    clock[0], steady[0] = clock[0] + timedelta(seconds=9), 21.0
    close(resources, watch)
    assert stable(resources) == set()
    clock[0], steady[0] = clock[0] + timedelta(seconds=1), 22.0
    close(resources, watch)
    assert stable(resources) == {"9"}


@pytest.mark.parametrize("jump", [timedelta(days=3), timedelta(days=-3)])
def test_what_waiting_cost_is_not_spoilt_by_a_clock_that_is_set(
    tmp_path: Path, jump: timedelta
) -> None:
    clock, steady = [NOW + timedelta(seconds=2)], [0.0]
    resources = replace(open_resources(tmp_path), clock=lambda: clock[0])
    watch = SeriesWatch(steady=lambda: steady[0])
    with resources.sessions.begin() as session:
        record_instance(session, instance("1", "9", "CT1"), NOW)
    close(resources, watch)

    clock[0], steady[0] = clock[0] + jump, 10.0
    close(resources, watch)

    with resources.sessions.reading() as session:
        (line,) = waits(session, clock[0] - timedelta(days=1))
    assert line.median_seconds == pytest.approx(12.0)


def test_a_series_half_received_when_the_node_ended_is_given_its_quiet_time(
    tmp_path: Path,
) -> None:
    resources = replace(open_resources(tmp_path), clock=lambda: NOW)
    with resources.sessions.begin() as session:
        record_instance(session, instance("1", "9", "CT1"), NOW - timedelta(hours=1))
    steady = [100.0]
    watch = SeriesWatch(steady=lambda: steady[0])  # a node that starts

    close(resources, watch)
    assert stable(resources) == set()
    steady[0] += 10

    close(resources, watch)
    assert stable(resources) == {"9"}


seconds = st.floats(0, 1e6)


@given(st.floats(-1e6, 1e6), seconds, seconds)
def test_no_clock_alone_makes_a_series_quiet(by_day: float, watched: float, quiet: float) -> None:
    series = OpenSeries(
        series_instance_uid="9", generation=1, instances=1, calling_ae="CT1", last_at=NOW
    )
    now = NOW + timedelta(seconds=by_day)

    if quiet_seconds(series, now, watched) >= quiet:
        assert watched >= quiet
        assert abs((now - NOW).total_seconds()) >= quiet


@dataclass
class Seen:
    """An observer that says what a test lets it say."""

    sent: bool = False
    count: Counted | None = None
    outside: Ends = Ends.OUTSIDE
    looked_at: list[tuple[str, ...]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    tended: int = 0
    odd: str = ""  #: the series that cannot be judged
    settled: bool = True

    def tend(self) -> None:
        self.tended += 1
        if self.odd:
            raise RuntimeError("cannot be tended")

    def settle(self) -> bool:
        return self.settled

    def is_being_sent(self, series: OpenSeries) -> bool:
        return self.sent

    def counted(self, series: OpenSeries) -> Counted | None:
        if series.series_instance_uid == self.odd:
            raise RuntimeError("cannot be judged")
        return self.count

    def ends(self, series: OpenSeries, paths: Sequence[str]) -> Ends:
        self.looked_at.append(tuple(paths))
        return self.outside

    def closed(self, series: OpenSeries) -> None:
        self.done.append(series.series_instance_uid)


SLICES = 8


def receive_stack(resources: Resources, count: int = SLICES, *, series: str = "9") -> None:
    with resources.sessions.begin() as session:
        for number in range(1, count + 1):
            place = SliceFacts(instance_number=number, plane="p", height_mm=-2.5 * number)
            uid = str(number) if series == "9" else f"{series}.{number}"
            facts = replace(instance(uid, series, "CT1"), slice=place, study_date="20260226")
            record_instance(session, facts, NOW)


def closed_after(resources: Resources, seen: Seen, seconds: float) -> str:
    """Run a closer when a series is first seen, and so many seconds later; say its proof."""
    clock, steady = [NOW], [0.0]
    closer = SeriesCloser(
        replace(resources, clock=lambda: clock[0]),
        ClosingPolicy(quiet_seconds=60, regular_seconds=5, min_slices=SLICES),
        seen,
        wake=lambda: None,
        watch=SeriesWatch(steady=lambda: steady[0]),
    )
    closer.run_once()
    clock[0], steady[0] = NOW + timedelta(seconds=seconds), seconds
    closer.run_once()
    with resources.sessions.begin() as session:
        ticket = claim_next(session, clock[0])
    return ticket.closed_by if ticket else ""


def test_nothing_is_closed_while_instances_may_lack_their_rows(tmp_path: Path) -> None:
    resources = open_resources(tmp_path)
    receive_stack(resources)

    assert closed_after(resources, Seen(settled=False), 600) == ""
    assert closed_after(resources, Seen(settled=True), 600) != ""


@pytest.mark.parametrize(
    ("seen", "seconds", "expected"),
    [
        (Seen(), 5, "regular-stack"),
        (Seen(), 4.9, ""),
        (Seen(sent=True), 59, ""),
        (Seen(outside=Ends.INSIDE), 59, ""),
        (Seen(outside=Ends.INSIDE), 60, "quiet"),
        (Seen(count=Counted(count=SLICES, is_confirmed=True)), 1, "archive-count"),
        (Seen(count=Counted(count=SLICES + 1, is_confirmed=False)), 59, ""),
    ],
)
def test_a_series_is_closed_by_what_is_known_of_it(
    tmp_path: Path, seen: Seen, seconds: float, expected: str
) -> None:
    resources, seen = open_resources(tmp_path), deepcopy(seen)
    receive_stack(resources)

    assert closed_after(resources, seen, seconds) == expected

    assert seen.done == (["9"] if expected else [])
    with resources.sessions() as session:
        assert [line.closed_by for line in waits(session, NOW)] == (
            [{expected: 1}] if expected else []
        )


@pytest.mark.parametrize(("seconds", "expected"), [(5, {"7"}), (60, {"7", "9"})])
def test_a_series_that_cannot_be_judged_waits_its_quiet_time_and_holds_up_no_other(
    tmp_path: Path, seconds: float, expected: set[str]
) -> None:
    resources = open_resources(tmp_path)
    receive_stack(resources)
    receive_stack(resources, series="7")
    closed_after(resources, Seen(odd="9"), seconds)
    with resources.sessions() as session:
        closed = {series for series in ("7", "9") if locked(session, series).state != "receiving"}
    assert closed == expected


def test_hanging_looks_are_ended_though_no_series_is_open(tmp_path: Path) -> None:
    resources, seen = open_resources(tmp_path), Seen()
    closed_after(resources, seen, 5)
    assert seen.tended == 2


def test_it_says_when_another_look_is_of_use(tmp_path: Path) -> None:
    resources = replace(open_resources(tmp_path), clock=lambda: NOW)
    steady = [0.0]
    closer = SeriesCloser(
        resources,
        ClosingPolicy(quiet_seconds=60),
        Seen(),
        wake=lambda: None,
        watch=SeriesWatch(steady=lambda: steady[0]),
    )
    assert closer.run_once() == math.inf
    receive_stack(resources)
    assert closer.run_once() == SETTLED_SECONDS
    later = SeriesCloser(
        replace(resources, clock=lambda: NOW + timedelta(seconds=4)),
        ClosingPolicy(quiet_seconds=60, regular_seconds=5, min_slices=SLICES),
        Seen(),
        wake=lambda: None,
        watch=SeriesWatch(steady=lambda: steady[0]),
    )
    later.run_once()
    steady[0] = 4
    assert later.run_once() == 1.0


def test_it_says_which_series_will_be_closed_as_it_is(tmp_path: Path) -> None:
    resources, steady = open_resources(tmp_path), [0.0]
    receive_stack(resources)
    receive_stack(resources, count=SLICES - 1, series="8")
    expected: list[str] = []

    def fail_once(series: OpenSeries) -> None:
        expected.append(series.series_instance_uid)
        if len(expected) == 1:
            raise ValueError("whoever hears it")

    closer = SeriesCloser(
        replace(resources, clock=lambda: NOW + timedelta(seconds=steady[0])),
        ClosingPolicy(quiet_seconds=60, regular_seconds=5, min_slices=SLICES),
        Seen(),
        wake=lambda: None,
        expect=fail_once,
        watch=SeriesWatch(steady=lambda: steady[0]),
    )
    for second, heard in enumerate([0, 1, 2, 3, 4, 4, 4]):
        steady[0] = float(second)
        closer.run_once()
        assert expected == ["9"] * heard


def test_the_end_slices_are_those_of_the_stack(tmp_path: Path) -> None:
    resources, seen = open_resources(tmp_path), Seen()
    receive_stack(resources)
    closed_after(resources, seen, 2)

    (paths,) = set(seen.looked_at)
    assert paths[0] == f"incoming/00/{SLICES}.dcm"
    assert paths[-1] == "incoming/00/1.dcm"


@pytest.mark.parametrize(
    ("date", "expected"),
    [("20260227", True), ("20260228", False), ("20260302", False), ("", False), ("x", False)],
)
def test_a_study_of_an_earlier_day_does_not_go_on(date: str, expected: bool) -> None:
    assert is_of_earlier_day(date, NOW) is expected


@pytest.mark.parametrize(
    ("state", "named", "expected"),
    [
        (NotificationState.COMPLETED, SLICES, "procedure-step"),
        (NotificationState.COMPLETED, SLICES + 1, ""),
        (NotificationState.IN_PROGRESS, SLICES, ""),
        (NotificationState.DISCONTINUED, SLICES, ""),
    ],
)
def test_a_step_that_names_what_is_here_closes_the_series(
    tmp_path: Path, state: NotificationState, named: int, expected: str
) -> None:
    resources = open_resources(tmp_path)
    receive_stack(resources)
    with resources.sessions.begin() as session:
        keep_notice(session, step(state, "9", named), NOW)

    assert closed_after(resources, Seen(sent=True), 1) == expected


def step(state: NotificationState, series: str, numbers: int = SLICES) -> Notice:
    uids = [str(n) if series == "9" else f"{series}.{n}" for n in range(1, numbers + 1)]
    return Notice(
        sop_instance_uid=f"5.{series}",
        kind=NotificationKind.PROCEDURE_STEP,
        state=state,
        calling_ae="CT1",
        series={series: uids},
    )


@contextmanager
def statements(resources: Resources) -> Iterator[list[str]]:
    """Statements that the database gets meanwhile."""
    heard: list[str] = []
    with resources.sessions() as session:
        engine = session.get_bind()

    def hear(_: object, __: object, statement: str, *___: object) -> None:
        heard.append(statement)

    event.listen(engine, "before_cursor_execute", hear)
    yield heard
    event.remove(engine, "before_cursor_execute", hear)


def test_series_that_stay_as_they_are_are_not_read_again(tmp_path: Path) -> None:
    resources, clock, steady = open_resources(tmp_path), [NOW], [0.0]
    for series in ("9", "7", "6"):
        receive_stack(resources, series=series)
        with resources.sessions.begin() as session:
            keep_notice(session, step(NotificationState.IN_PROGRESS, series), NOW)
    closer = SeriesCloser(
        replace(resources, clock=lambda: clock[0]),
        ClosingPolicy(quiet_seconds=60, min_slices=SLICES),
        Seen(),
        wake=lambda: None,
        watch=SeriesWatch(steady=lambda: steady[0]),
    )
    for seconds in (0, 2):
        clock[0], steady[0] = NOW + timedelta(seconds=seconds), seconds
        closer.run_once()
    with statements(resources) as heard:
        closer.run_once()
    assert len([text for text in heard if text.startswith("SELECT")]) == 3
    with resources.sessions.begin() as session:  # what is said anew is read anew
        keep_notice(session, step(NotificationState.COMPLETED, "7"), clock[0])
    closer.run_once()
    with resources.sessions() as session:
        assert {one.series_instance_uid for one in receiving(session)} == {"9", "6"}


def test_a_sender_that_was_closed_too_early_waits_its_whole_time(tmp_path: Path) -> None:
    resources = open_resources(tmp_path)
    receive_stack(resources)
    assert closed_after(resources, Seen(), 5) == "regular-stack"
    with resources.sessions.begin() as session:
        give_back(session, ticket_of(session, locked(session, "9")), NOW)
        late = instance(str(SLICES + 1), "9", "CT1")
        record_instance(session, late, NOW + timedelta(seconds=30))
        (before,) = receiving(session)
        close_series(session, before, NOW)
    with resources.sessions.begin() as session:
        for number in range(1, SLICES + 1):
            place = SliceFacts(instance_number=number, plane="p", height_mm=-2.5 * number)
            other = replace(instance(f"7.{number}", "7", "CT1"), slice=place)
            record_instance(session, other, NOW)

    closed_after(resources, Seen(), 59)

    with resources.sessions() as session:
        assert [series.series_instance_uid for series in receiving(session)] == ["7"]


def close(resources: Resources, watch: SeriesWatch, woken: list[bool] | None = None) -> None:
    SeriesCloser(
        resources,
        ClosingPolicy(quiet_seconds=10, quiet_seconds_by_ae={"ROUTER": 120}),
        wake=lambda: (woken if woken is not None else []).append(True),
        watch=watch,
    ).run_once()


def stable(resources: Resources) -> set[str]:
    with resources.sessions() as session:
        series = overview(session).series
    return {line.series_instance_uid for line in series if line.state == "stable"}
