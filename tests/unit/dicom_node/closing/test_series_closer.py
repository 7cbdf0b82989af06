"""Quiet series are closed, each after the quiet time of its sender, and analysis is woken."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.closing.series_closer import (
    ClosingPolicy,
    SeriesCloser,
    SeriesWatch,
    quiet_seconds,
)
from dicom_node.resources import Resources
from storage.overview import overview
from storage.series.instances import InstanceFacts, record_instance
from storage.series.lifecycle import OpenSeries
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
