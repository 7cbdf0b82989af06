"""Fetch the images of work items from an archive (C-MOVE), where nobody sends them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from dicom_node.logs import log
from dicom_node.network.association import Peer
from dicom_node.network.query_scu import QueryFailed, archive, keys
from dicom_node.resources import Resources
from dicom_node.worklist.decision import is_absent
from dicom_node.worklist.performer import BACKOFF
from storage.delivery.work_item_inputs import input_states
from storage.delivery.work_items import WorkItemInput

PART = "worklist archive"  #: in the condition of the node


@dataclass(slots=True, kw_only=True)
class InputFetcher:
    """Has series sent by an archive; each again after a while, until it is here.

    Attributes
    ----------
    ae_title
        Ours: the archive must know it, and where to find us.
    """

    resources: Resources
    archive: Peer
    ae_title: str
    steady: Callable[[], float] = time.monotonic
    _tries: dict[str, tuple[int, float]] = field(default_factory=dict, init=False)
    """By series: how often it was asked for, and when it is again."""

    def fetch(self, series: WorkItemInput) -> None:
        """Have a series sent, unless it is here, on its way, or was asked for a short while ago."""
        uid = series.series_instance_uid
        with self.resources.sessions.reading() as session:
            state = input_states(session, [series]).get(uid)
        if not is_absent(state):
            self._tries.pop(uid, None)
            return
        tries, due_at = self._tries.get(uid, (0, 0.0))
        if self.steady() < due_at:
            return
        try:
            with archive(self.archive, calling_ae=self.ae_title) as asked:
                asked.move(
                    keys(
                        "SERIES",
                        StudyInstanceUID=series.study_instance_uid,
                        SeriesInstanceUID=uid,
                    ),
                    self.ae_title,
                )
        except QueryFailed as fault:
            if self.resources.health.fault(PART, str(fault)):
                log.warning("workitem_images_not_fetched", series_uid=uid, reason=str(fault))
        else:
            self.resources.health.well(PART)
            log.info("workitem_images_fetched", series_uid=uid)
        wait = BACKOFF.wait(tries + 1).total_seconds()
        self._tries[uid] = (tries + 1, self.steady() + wait)
