"""The node may end between any two steps with a work item, or lose the answer to any of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from storage.states import SeriesState, WorkItemState
from tests.support.peers.worklist_manager import COMPLETED, WorklistManager, work_item
from tests.support.results_due import UIDS, Hands, store_with_results
from tests.support.samples.worklist_site import INPUT, ITEM, Site, ended_as

S, W = SeriesState, WorkItemState


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    clock = Hands()
    resources = store_with_results(tmp_path, clock)
    with WorklistManager() as manager:
        yield Site(resources, clock, manager)
    resources.close()


COMMITS = ("before_commit", "after_commit")


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Fuse:
    """Ends the process at a step: a commit, before or after it, or a request to the manager.

    Attributes
    ----------
    at
        Number of the step, or what the manager hears first.
    """

    at: int | str
    steps: int = 0
    is_blown: bool = False

    def step(self, *_: object) -> None:
        if self._blows(""):
            raise Killed

    def hears(self, request: str) -> bool:
        """Break the association off instead, on the manager's side: the answer is lost."""
        return self._blows(request)

    def _blows(self, request: str) -> bool:
        self.steps += 1
        blows = not self.is_blown and self.at in {self.steps, request}
        self.is_blown = self.is_blown or blows
        return blows


def life(site: Site, at: int | str, uid: str = ITEM) -> bool:
    """Claim, tell, and complete a work item; say whether the process ended at the step meanwhile.

    A fresh job goes on after that.
    """
    fuse = Fuse(at)
    asked = len(site.manager.requests)
    site.manager.heard, site.job = fuse.hears, site.make_job()
    site.move(S.DELIVERED, S.ENCODED)
    site.manager.add(work_item(uid, INPUT))
    for number in range(7):
        if number == 3:
            site.move(S.ENCODED, S.DELIVERED)
        for name in COMMITS:
            event.listen(Session, name, fuse.step)
        try:
            site.round()
        except Killed:
            site.job = site.make_job()
        finally:
            for name in COMMITS:
                event.remove(Session, name, fuse.step)
    assert ended_as(site, uid) == (COMPLETED, W.COMPLETED), f"ended at step {at}"
    (step,) = site.manager.items[uid].UnifiedProcedureStepPerformedProcedureSequence
    assert len(step.OutputInformationSequence[0].ReferencedSOPSequence) == len(UIDS)
    assert site.manager.requests[asked:].count(COMPLETED) == 1
    return fuse.is_blown


@pytest.mark.parametrize("at", ["IN PROGRESS done", "N-SET done", "COMPLETED done"])
def test_an_end_of_the_process_loses_and_repeats_nothing(site: Site, at: str) -> None:
    site.deliver()

    assert life(site, at)


@pytest.mark.long
@pytest.mark.database
def test_nor_does_an_end_at_any_other_step(site: Site) -> None:
    site.deliver()

    steps = next(at for at in range(1, 100) if not life(site, at, f"2.25.9{at:03}"))

    assert steps > 30
