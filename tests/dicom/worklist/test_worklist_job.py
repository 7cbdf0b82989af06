"""Work items are claimed from a manager on a real socket, told of, and brought to an end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pynetdicom import AE, evt

from dicom_node.network.sop_classes import WORKLIST_WATCH
from dicom_node.worklist.job import PART
from storage.database.schema import Series
from storage.database.work_item_tables import WorkItem
from storage.delivery.work_items import (
    KEEP,
    forget_ended,
    request_cancellation,
)
from storage.maintenance.purge import erase_rows
from storage.series.instances import record_instance
from storage.series.lifecycle import claim_next, close, leave, receiving
from storage.series.notifications import (
    Notice,
    NotificationKind,
    NotificationState,
    keep_notice,
    named_instances,
)
from storage.states import SeriesState, WorkItemState
from tests.support.peers.pacs import DicomServer
from tests.support.peers.worklist_manager import CANCELED, COMPLETED, WorklistManager, work_item
from tests.support.reception import open_resources
from tests.support.results_due import CT, SERIES, STUDY, UIDS, Hands, store_with_results
from tests.support.samples.worklist_site import ABSENT, INPUT, ITEM, OTHER, Site, ended_as

S, W = SeriesState, WorkItemState


@pytest.fixture
def manager() -> Iterator[WorklistManager]:
    with WorklistManager() as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, manager: WorklistManager) -> Iterator[Site]:
    clock = Hands()
    resources = store_with_results(tmp_path, clock)
    yield Site(resources, clock, manager)
    resources.close()


@pytest.mark.database
def test_a_work_item_is_claimed_told_of_and_completed_with_what_was_made(site: Site) -> None:
    site.manager.add(work_item(ITEM, INPUT))

    site.round()
    assert ended_as(site) == ("IN PROGRESS", W.CLAIMED)
    assert site.manager.subscribed == {ITEM: "AINODE"}
    site.round()
    assert site.manager.told[-1] == "80"
    site.deliver()
    site.round()

    assert ended_as(site) == (COMPLETED, W.COMPLETED)
    ds = site.manager.items[ITEM]
    (step,) = ds.UnifiedProcedureStepPerformedProcedureSequence
    (output,) = step.OutputInformationSequence
    assert (output.StudyInstanceUID, output.SeriesInstanceUID) == (STUDY, SERIES)
    assert tuple(one.ReferencedSOPInstanceUID for one in output.ReferencedSOPSequence) == UIDS
    assert [one.RetrieveAETitle for one in output.DICOMRetrievalSequence] == ["ARCHIVE"]
    assert step.PerformedWorkitemCodeSequence[0].CodeValue == "110005"
    (told,) = ds.ProcedureStepProgressInformationSequence
    assert told.ProcedureStepProgress == 100


def test_progress_is_told_when_it_changes_and_not_again(site: Site) -> None:
    site.manager.add(work_item(ITEM, INPUT))
    for _ in range(4):
        site.round()

    assert site.manager.told == ["80"]


@pytest.mark.database
def test_what_a_work_item_names_is_a_proof_that_its_series_is_complete(site: Site) -> None:
    site.manager.add(work_item(ITEM, ABSENT))

    site.round()

    with site.resources.sessions.reading() as session:
        (named,) = named_instances(session, ABSENT[1])
    assert (named.kind, named.instances) == (NotificationKind.WORK_ITEM, {"2.25.405"})
    assert site.woken


@pytest.mark.parametrize(
    "other",
    [
        work_item(OTHER, INPUT, workitem="110001"),
        work_item(OTHER, INPUT, station="ELSEWHERE"),
        work_item(OTHER, INPUT, readiness="INCOMPLETE"),
    ],
    ids=["another workitem code", "another station", "input not ready"],
)
def test_what_is_not_for_this_node_is_left_alone(
    site: Site, other: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.manager.add(other)  # type: ignore[arg-type]  # of a parameter
    site.round()
    monkeypatch.setattr("tests.support.peers.worklist_manager.MATCHED", ())
    site.round()  # the manager matches nothing by itself

    assert site.manager.state(OTHER) == "SCHEDULED"
    assert site.rows() == {}


@pytest.mark.database
def test_the_most_urgent_are_claimed_first_and_no_more_than_may_be(site: Site) -> None:
    for number, priority in enumerate(["LOW", "MEDIUM", "HIGH", "MEDIUM", "HIGH"]):
        site.manager.add(work_item(f"2.25.8{number}", ABSENT, priority=priority))

    site.round()

    assert set(site.rows()) == {"2.25.81", "2.25.82", "2.25.84"}


def test_without_claims_what_is_ours_comes_to_its_end(site: Site) -> None:
    site.manager.add(work_item(ITEM, INPUT))
    site.round()
    site.rules = replace(site.rules, claims=False)
    site.job = site.make_job()
    site.manager.add(work_item(OTHER, INPUT))
    site.deliver()
    site.round()

    assert ended_as(site) == (COMPLETED, W.COMPLETED)
    assert site.manager.state(OTHER) == "SCHEDULED"


def test_one_that_another_has_claimed_meanwhile_is_lost(site: Site) -> None:
    site.manager.add(work_item(ITEM, INPUT))

    def another_is_quicker(request: str) -> bool:
        if request == "IN PROGRESS" and ITEM not in site.manager.performers:
            site.manager.performers[ITEM] = "2.25.666"
            site.manager.items[ITEM].ProcedureStepState = "IN PROGRESS"
        return False

    site.manager.heard = another_is_quicker
    site.round()

    assert site.row().state is W.LOST
    assert "0xC301" in site.row().reason
    assert site.manager.performers[ITEM] == "2.25.666"


@pytest.mark.parametrize("state", [CANCELED, "SCHEDULED", None])
def test_one_that_the_manager_takes_back_is_lost(site: Site, state: str | None) -> None:
    site.manager.add(work_item(ITEM, INPUT))
    site.round()
    site.round()
    if state is None:
        del site.manager.items[ITEM]
    else:
        site.manager.items[ITEM].ProcedureStepState = state
    site.round()

    assert site.row().state is W.LOST
    assert (state or "does not know it") in site.row().reason


@pytest.mark.parametrize(
    ("new", "reason", "code"),
    [
        (S.FAILED, "PACS refused 1 object", "110501"),
        (S.UNSUITABLE, "localizer: scout, m\u00fcde", "110522"),
    ],
)
def test_without_results_it_is_canceled_with_the_reason(
    tmp_path: Path, manager: WorklistManager, new: SeriesState, reason: str, code: str
) -> None:
    clock = Hands()
    resources = replace(open_resources(tmp_path), clock=clock)
    site = Site(resources, clock, manager)
    manager.add(work_item(ITEM, INPUT))
    site.round()
    with resources.sessions.begin() as session:
        record_instance(session, CT, clock())
        close(session, receiving(session)[0], clock())
        ticket = claim_next(session, clock())
        assert ticket is not None
    site.round()
    with resources.sessions.begin() as session:
        leave(session, ticket, clock(), new=new, reason=reason)
    site.round()
    resources.close()

    assert ended_as(site) == (CANCELED, W.CANCELED)
    assert manager.told == ["30", "-"]
    (told,) = manager.items[ITEM].ProcedureStepProgressInformationSequence
    assert told.ProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == code
    assert told.ReasonForCancellation == reason.replace("\u00fc", "?")


def test_one_whose_images_never_come_is_canceled(site: Site) -> None:
    site.manager.add(work_item(ITEM, ABSENT))
    site.round()
    site.round(23 * 3600)
    assert ended_as(site) == ("IN PROGRESS", W.CLAIMED)
    site.round(3600)

    assert ended_as(site) == (CANCELED, W.CANCELED)
    assert site.row().code == "110523"


def test_one_that_names_no_series_is_canceled_at_once(site: Site) -> None:
    site.manager.add(work_item(ITEM))
    site.round()
    site.round()

    assert ended_as(site) == (CANCELED, W.CANCELED)
    assert site.row().code == "110514"


def test_a_request_to_cancel_is_honoured_while_nothing_has_ended(site: Site) -> None:
    site.manager.add(work_item(ITEM, INPUT))
    site.round()
    with site.resources.sessions.begin() as session:
        assert request_cancellation(session, ITEM, site.clock())
        assert not request_cancellation(session, OTHER, site.clock())
    site.round(2)

    assert ended_as(site) == (CANCELED, W.CANCELED)
    assert site.row().code == "110513"
    site.deliver()  # the images were sent here, and have their results all the same
    with site.resources.sessions.reading() as session:
        assert session.get_one(Series, CT.series_instance_uid).state is S.DELIVERED


def test_a_request_to_cancel_comes_too_late_once_results_have_arrived(site: Site) -> None:
    site.manager.add(work_item(ITEM, INPUT))
    site.round()
    site.deliver()
    with site.resources.sessions.begin() as session:
        assert request_cancellation(session, ITEM, site.clock())
    site.round()

    assert ended_as(site) == (COMPLETED, W.COMPLETED)


def test_a_manager_without_subscriptions_will_do(tmp_path: Path) -> None:
    with WorklistManager(watches=False) as manager:
        clock = Hands()
        site = Site(store_with_results(tmp_path, clock), clock, manager)
        manager.add(work_item(ITEM, INPUT))
        site.round()
        assert ended_as(site) == ("IN PROGRESS", W.CLAIMED)
        assert manager.subscribed == {}
        site.resources.close()


def test_a_manager_that_is_away_is_a_fault_and_is_asked_again_ever_more_seldom(site: Site) -> None:
    site.manager.add(work_item(ITEM, INPUT))
    site.round()
    site.deliver()
    port = site.manager.port
    site.manager.stop()
    asked = site.job
    site.round()

    (fault,) = site.resources.health.snapshot()
    assert (fault.part, fault.receiving) == (PART, True)
    assert fault.reason.endswith(f"nothing listens on port {port} there")
    assert site.row().state is W.CLAIMED
    site.manager.port = site.manager.start()
    site.round(5)
    assert site.manager.state(ITEM) == "IN PROGRESS"  # its turn has not come
    site.round()
    assert site.job is asked
    assert ended_as(site) == (COMPLETED, W.COMPLETED)
    assert site.resources.health.snapshot() == ()


class NoPull(DicomServer):
    """A server that takes subscriptions, and lets nobody perform anything."""

    def offer(self, ae: AE) -> list[evt.EventHandlerType]:
        ae.add_supported_context(WORKLIST_WATCH)
        return []


def test_who_takes_no_work_items_is_named(site: Site) -> None:
    with NoPull() as other:
        site.job.manager = replace(site.manager.peer, port=other.port, ae_title="OTHER")
        site.round()

    (fault,) = site.resources.health.snapshot()
    assert fault.reason == "OTHER takes no Unified Procedure Steps (Pull)"


@pytest.mark.database
def test_a_step_that_the_manager_refuses_is_tried_again_for_three_days(site: Site) -> None:
    site.manager.add(work_item(ITEM, INPUT))
    site.round()
    site.deliver()
    site.manager.refusing = 0x0110
    site.round()
    assert site.row().attempts == 1
    site.round(3)  # its turn has not come
    assert site.row().attempts == 1
    with site.resources.sessions.begin() as session:
        row = session.get_one(WorkItem, ITEM)
        row.attempts, row.since = 500, site.clock() - timedelta(days=3)
    site.round()

    assert site.row().state is W.CANCELING
    assert site.row().reason == "given up: the manager answered 0x0110 to COMPLETED"
    site.manager.refusing = 0
    site.round()

    assert ended_as(site) == (CANCELED, W.CANCELED)


def test_an_end_that_was_refused_once_is_told_later(site: Site) -> None:
    site.manager.add(work_item(ITEM, INPUT))
    site.round()
    site.deliver()
    site.manager.refusing = 0x0213
    site.round()
    site.manager.refusing = 0
    site.round()

    assert ended_as(site) == (COMPLETED, W.COMPLETED)


def test_what_can_be_retrieved_from_nowhere_any_more_is_not_completed(site: Site) -> None:
    site.manager.add(work_item(ITEM, INPUT))
    site.round()
    site.deliver()
    site.manager.refusing = 0x0110
    site.round()
    assert site.row().state is W.COMPLETING
    site.manager.refusing = 0
    site.job.take({})  # the destination was taken out of the settings
    site.round()

    assert ended_as(site) == (CANCELED, W.CANCELED)
    assert site.row().code == "110501"


def test_a_manager_that_breaks_off_at_the_subscription_is_no_hindrance(site: Site) -> None:
    site.manager.add(work_item(ITEM, INPUT))
    site.manager.heard = lambda request: request == "subscription"
    site.round()
    assert ended_as(site) == ("IN PROGRESS", W.CLAIMED)
    site.deliver()
    site.round()

    assert ended_as(site) == (COMPLETED, W.COMPLETED)


def test_one_whose_progress_is_refused_for_days_is_not_given_up(site: Site) -> None:
    site.manager.add(work_item(ITEM, INPUT))
    site.round()
    with site.resources.sessions.begin() as session:
        row = session.get_one(WorkItem, ITEM)
        row.attempts, row.since = 500, site.clock() - timedelta(days=4)
    site.manager.refusing = 0x0110
    site.round()
    assert (site.row().state, site.row().attempts) == (W.CLAIMED, 501)
    site.manager.refusing = 0
    site.deliver()
    site.round()

    assert ended_as(site) == (COMPLETED, W.COMPLETED)
    assert site.row().told == 100


@pytest.mark.database
def test_what_has_ended_is_forgotten_after_a_month(site: Site) -> None:
    site.manager.add(work_item(ITEM))
    site.round()
    site.round()
    del site.manager.items[ITEM]
    ended_at = site.row().since
    with site.resources.sessions.begin() as session:
        forget_ended(session, ended_at + KEEP)
    assert site.rows() == {ITEM: W.CANCELED}
    with site.resources.sessions.begin() as session:
        forget_ended(session, ended_at + KEEP + timedelta(seconds=1))

    assert site.rows() == {}


@pytest.mark.database
def test_erasure_of_a_series_takes_its_name_from_work_items(site: Site) -> None:
    site.manager.add(work_item(ITEM, INPUT, ABSENT))
    site.round()
    with site.resources.sessions.begin() as session:
        erase_rows(session, CT.series_instance_uid)

    assert [one.series_instance_uid for one in site.row().inputs] == ["", ABSENT[1]]
    site.round()
    assert ended_as(site) == (CANCELED, W.CANCELED)
    assert site.row().code == "110513"


def test_results_of_other_images_of_the_series_do_not_complete_it(site: Site) -> None:
    site.manager.add(work_item(ITEM, (*INPUT[:2], ["2.25.406"])))
    site.round()
    site.deliver()
    site.round()

    assert ended_as(site) == ("IN PROGRESS", W.CLAIMED)
    assert site.manager.told[-1] == "0"


def test_what_is_analysed_again_before_the_manager_was_told_is_completed_later(site: Site) -> None:
    site.manager.add(work_item(ITEM, INPUT))
    site.round()
    site.deliver()
    site.manager.refusing = 0x0110
    site.round()
    site.manager.refusing = 0
    site.move(S.DELIVERED, S.STABLE)
    site.round()
    assert ended_as(site) == ("IN PROGRESS", W.COMPLETING)
    site.move(S.STABLE, S.ANALYSING)
    site.move(S.ANALYSING, S.ENCODED)
    site.move(S.ENCODED, S.DELIVERED)
    site.round()

    assert ended_as(site) == (COMPLETED, W.COMPLETED)


def test_a_work_item_does_not_write_over_the_step_of_a_scanner(site: Site) -> None:
    step = Notice(
        sop_instance_uid=ITEM,
        kind=NotificationKind.PROCEDURE_STEP,
        state=NotificationState.IN_PROGRESS,
        calling_ae="CT1",
        series={INPUT[1]: ("2.25.407",)},
    )
    with site.resources.sessions.begin() as session:
        keep_notice(session, step, site.clock())
    site.manager.add(work_item(ITEM, INPUT))
    site.round()

    assert ended_as(site) == ("IN PROGRESS", W.CLAIMED)
    with site.resources.sessions.reading() as session:
        (named,) = named_instances(session, INPUT[1])
    assert (named.kind, named.instances) == (NotificationKind.PROCEDURE_STEP, {"2.25.407"})


def test_one_over_which_the_manager_stumbles_does_not_hold_up_the_others(site: Site) -> None:
    site.manager.add(work_item(ITEM, INPUT))
    site.round()
    site.deliver()
    site.manager.heard = lambda request: request == "COMPLETED"
    site.manager.add(work_item(OTHER, ABSENT))
    site.round()
    site.round(10)
    assert (site.row().attempts, site.rows()) == (2, {ITEM: W.COMPLETING})
    site.round(11)  # it rests

    assert ended_as(site, OTHER) == ("IN PROGRESS", W.CLAIMED)
    assert site.row().state is W.COMPLETING


def test_a_claim_that_is_refused_holds_no_place(site: Site) -> None:
    site.manager.add(work_item(ITEM, INPUT))
    site.manager.refusing = 0x0124
    site.round()
    assert (site.manager.state(ITEM), site.rows()) == ("SCHEDULED", {})
    site.manager.refusing = 0
    site.round(299)
    assert site.rows() == {}
    site.round(2)
    site.round(30)

    assert ended_as(site) == ("IN PROGRESS", W.CLAIMED)


def test_after_a_confirmation_what_was_refused_before_is_over(site: Site) -> None:
    site.manager.add(work_item(ITEM, INPUT))
    site.round()
    site.round()
    with site.resources.sessions.begin() as session:
        session.get_one(WorkItem, ITEM).attempts = 1
    site.round()

    assert (site.row().state, site.row().attempts) == (W.CLAIMED, 0)


def test_what_another_claims_says_nothing_of_its_series(site: Site) -> None:
    site.manager.add(work_item(ITEM, ABSENT))
    site.manager.refusing = 0xC301
    site.round()

    assert site.row().state is W.LOST
    with site.resources.sessions.reading() as session:
        assert named_instances(session, ABSENT[1]) == ()
