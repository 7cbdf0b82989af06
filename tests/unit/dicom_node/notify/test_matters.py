"""Lines about what there is to tell; they name nobody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dicom_node.health import PartFault
from dicom_node.notify.matters import of_backlog, of_failures, of_faults
from storage.results.to_tell import FailedSeries
from storage.standing import Standing
from storage.states import SeriesState

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_fault_says_whether_images_are_taken() -> None:
    (matter,) = of_faults([PartFault(part="disk", since=NOW, reason="is full", receiving=False)])

    assert matter.lasting
    assert matter.text.startswith("disk since ")
    assert matter.text.endswith(": is full; no images are taken")


def test_a_fault_of_another_reason_is_the_same_matter() -> None:
    faults = [PartFault(part="disk", since=NOW, reason=reason) for reason in ("a", "b")]

    assert len({one.key for one in of_faults(faults)}) == 1


def test_uids_are_taken_out_of_reasons_and_addresses_are_not() -> None:
    reason = "spacing varies between 1.2.840.113619.2.5 and\n1.2.3.4.5 at 10.1.0.7"
    failed = FailedSeries(key="k", reference="0123456789ab", at=NOW, reason=reason)
    (matter,) = of_failures([failed])

    assert matter.text.endswith(
        "(result 0123456789ab): spacing varies between (UID) and (UID) at 10.1.0.7"
    )


def test_only_what_has_waited_long_is_a_backlog() -> None:
    stands = Standing(
        series={SeriesState.STABLE: 7},
        waiting_since={
            SeriesState.STABLE: NOW - timedelta(hours=2),
            SeriesState.ANALYSING: NOW - timedelta(minutes=1),
        },
        deliveries={},
        undelivered_since={"PACS": NOW - timedelta(hours=3), "VNA": NOW},
        paused=frozenset({"PACS"}),
        quarantine=0,
        positive=0,
        negative=0,
        indeterminate=0,
        answers={},
    )
    waiting, undelivered = of_backlog(NOW, stands, timedelta(hours=1))

    assert waiting.text.startswith("a series waits for its analysis since ")
    assert waiting.text.endswith(", 7 in all")
    assert undelivered.text.startswith("results wait for PACS (paused) since ")
