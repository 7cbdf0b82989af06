"""Quiet series are closed, each after the quiet time of its sender, and analysis is woken."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dicom_node.reception.series_closing import close_quiet_series
from storage.overview import overview
from storage.series.instances import InstanceFacts, record_instance
from tests.support.reception import open_resources

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
    clock[0] += timedelta(seconds=seconds)
    woken: list[bool] = []

    close_quiet_series(
        resources,
        quiet_seconds=10,
        quiet_seconds_by_ae={"ROUTER": 120},
        wake=lambda: woken.append(True),
    )

    with resources.sessions() as session:
        states = {line.series_instance_uid: line.state for line in overview(session).series}
    assert {uid for uid, state in states.items() if state == "stable"} == expected
    assert bool(woken) == bool(expected)
