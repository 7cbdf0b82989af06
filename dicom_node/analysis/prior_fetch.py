"""Fetch prior studies from archives, so that a first result has something to compare with.

A series just analysed that this node knows no earlier result of the patient for has archives
asked: by C-FIND for earlier studies with CT, the latest first, and by C-MOVE for the one series
that is most like it. That series comes in, is analysed and answered like any other; then the
results of the first are issued again, with the comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pydicom import Dataset
from pydicom.datadict import keyword_dict

from dicom_node.analysis.prior_query import TAGS, earlier, query_for, rank
from dicom_node.analysis.request_builder import RequestBuilder
from dicom_node.analysis.rerun import request_rerun
from dicom_node.logs import log
from dicom_node.network.association import Peer
from dicom_node.network.bounded_header import read_attributes
from dicom_node.network.query_scu import Archive, QueryFailed, archive, keys
from dicom_node.reception.header import PARSE_ERRORS, PARSED_BYTES
from dicom_node.resources import Resources
from storage.series.lifecycle import ENDED
from storage.series.prior_searches import (
    FetchedSearch,
    WantedSearch,
    due_searches,
    end_search,
    fetched_searches,
    known_series,
    record_fetched,
    record_searches,
    shorten_waits,
    try_again,
)
from storage.series.rerun import ended_series
from storage.states import Rerun

STUDIES = 3  #: of so many earlier studies, the latest, series are looked at
ATTEMPTS = 3  #: so often archives are asked for one series
RETRY = timedelta(minutes=10)  #: after the first attempt that failed; twice as long after each
LONGEST_RETRY = RETRY * 2**ATTEMPTS
ANALYSIS_DEADLINE = timedelta(hours=6)  #: a fetched series must have been analysed within


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A series that could be compared with."""

    study_instance_uid: str
    series_instance_uid: str


class PriorFetcher:
    """Has prior studies searched for in archives, and one series of them sent.

    Parameters
    ----------
    archives
        Who is asked, in this order.
    ae_title
        Ours: archives must know it, and where to find us.
    min_slices
        Series with fewer instances are left alone.
    """

    def __init__(
        self,
        resources: Resources,
        archives: Sequence[Peer],
        request_builder: RequestBuilder,
        *,
        ae_title: str,
        min_slices: int,
    ) -> None:
        self._archives = tuple(archives)
        self._request_builder = request_builder
        self._resources = resources
        self._ae_title = ae_title
        self._min_slices = min_slices
        self._stopping = False

    def stop(self) -> None:
        """Ask for nothing more."""
        self._stopping = True

    def run_once(self) -> None:
        """Follow up the series that were fetched; search for what is due."""
        now = self._resources.clock()
        with self._resources.sessions() as session:
            fetched = fetched_searches(session, now)
        for search in fetched:
            self._conclude(search)
        with self._resources.sessions.begin() as session:
            record_searches(session, now)
            shorten_waits(session, now, ANALYSIS_DEADLINE)
            due = due_searches(session, now, longest_wait=LONGEST_RETRY)
        for wanted in due:
            if not self._stopping:
                self._search(wanted)

    def _conclude(self, search: FetchedSearch) -> None:
        uid = search.series_instance_uid
        if search.compared:
            self._compare(uid)
        elif search.useless:
            self._postpone(uid, search.attempts, "what was fetched could not be analysed")

    def _compare(self, uid: str) -> None:
        """Have the results issued again with the comparison, once the series has ended."""
        with self._resources.sessions() as session:
            (ended,) = ended_series(session, series=[uid])
        if ended.state not in ENDED:
            return
        outcome = request_rerun(
            self._resources.sessions, self._request_builder, ended, Rerun.REISSUE
        )
        with self._resources.sessions.begin() as session:
            end_search(session, uid, outcome.text)

    def _search(self, search: WantedSearch) -> None:
        """Ask one archive after the other, until one sends a series."""
        uid, trouble = search.series_instance_uid, ""
        try:
            here = _identity(self._resources.folder.locate(search.path))
        except OSError:
            self._end(uid, "its instances are not kept any more")
            return
        except PARSE_ERRORS as fault:
            self._end(uid, f"its header cannot be read ({type(fault).__name__})")
            return
        for peer in self._archives:
            try:
                with archive(peer, calling_ae=self._ae_title) as asked:
                    if self._fetch(search, here, asked):
                        log.info("earlier_study_fetched", series_uid=uid)
                        return
            except QueryFailed as fault:
                trouble = str(fault)
        if trouble:
            self._postpone(uid, search.attempts + 1, trouble)
        else:
            self._end(uid, "no earlier study with CT was found")

    def _fetch(self, search: WantedSearch, here: Dataset, asked: Archive) -> bool:
        """Have the best series sent, if there is any; it is entered before it can come."""
        candidate = self._candidate(search, here, asked)
        if candidate is None:
            return False
        with self._resources.sessions.begin() as session:
            record_fetched(
                session,
                search.series_instance_uid,
                candidate.study_instance_uid,
                candidate.series_instance_uid,
                self._resources.clock() + ANALYSIS_DEADLINE,
            )
        asked.move(
            keys(
                "SERIES",
                StudyInstanceUID=candidate.study_instance_uid,
                SeriesInstanceUID=candidate.series_instance_uid,
            ),
            self._ae_title,
        )
        return True

    def _candidate(self, search: WantedSearch, here: Dataset, asked: Archive) -> Candidate | None:
        studies = asked.find(query_for(here))
        for study in earlier(here, studies)[:STUDIES]:
            study_uid = str(study.StudyInstanceUID)
            found = asked.find(
                keys(
                    "SERIES",
                    StudyInstanceUID=study_uid,
                    SeriesInstanceUID="",
                    Modality="CT",
                    NumberOfSeriesRelatedInstances="",
                )
            )
            ranked = rank(found, instances=search.instances, min_slices=self._min_slices)
            with self._resources.sessions() as session:
                known = known_series(session, ranked)
            for uid in ranked:
                if uid not in known:
                    return Candidate(study_instance_uid=study_uid, series_instance_uid=uid)
        return None

    def _postpone(self, uid: str, attempts: int, reason: str) -> None:
        if attempts >= ATTEMPTS:
            self._end(uid, reason)
            return
        at = self._resources.clock() + RETRY * 2 ** max(attempts - 1, 0)
        with self._resources.sessions.begin() as session:
            try_again(session, uid, at, reason, attempts=attempts)
        log.warning("earlier_study_postponed", series_uid=uid, reason=reason)

    def _end(self, uid: str, reason: str) -> None:
        with self._resources.sessions.begin() as session:
            end_search(session, uid, reason)
        log.info("earlier_study_not_found", series_uid=uid, reason=reason)


def _identity(path: Path) -> Dataset:
    """Read what the search needs of an instance."""
    tags = [keyword_dict[name] for name in TAGS]
    _, ds = read_attributes(path, tags, until=max(tags) + 1, maximum_bytes=PARSED_BYTES)
    return ds
