"""Write down how an analysis ended: results that are kept, one that stands, or a reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace

from dicom_node.analysis.feedback_rows import feedback_rows
from dicom_node.analysis.result_rows import (
    file_name,
    first_files,
    later_files,
    new_objects,
    new_result,
)
from dicom_node.analysis.worker.messages import Analysed, Answered
from dicom_node.audit.decisions import Decided
from dicom_node.drift.record import (
    News,
    record_news,
    record_sample,
    sample_of,
    sample_of_refusal,
    tell,
)
from dicom_node.logs import log
from dicom_node.resources import Resources
from pipeline.reasons import UnsuitableReason
from storage.delivery.notices import Ending, end_series
from storage.delivery.outbox import begin_results, keep_results, reuse_result
from storage.delivery.series_completion import Destinations
from storage.files.folder import LATER
from storage.results.answers import answers_in
from storage.results.feedback import enter_feedback
from storage.results.kept_results import is_begun, is_whole
from storage.results.self_tests import keep_self_test_result
from storage.results.to_tell import reference_of
from storage.series.lifecycle import SeriesTicket, leave
from storage.states import SeriesState

SELF_TEST = "self-test"  #: folder of the objects of the latest self-test, in the storage folder

NO_NEWS: Sequence[News] = ()

NOT_OURS = (
    f"{UnsuitableReason.NOT_OUR_RESULT}: The documents name no result of this node; what they"
    " say is kept."
)
OF_OTHERS = (
    f"{UnsuitableReason.OTHER_PATIENT_OR_STUDY}: The documents are of another patient or study than"
    " what they name; what they say is kept, and does not count."
)


class OutcomeWriter:
    """Writes the outcome of a series to the storage folder and the database.

    Parameters
    ----------
    destinations
        Who gets the results.
    drift
        What is done about a scanner that has changed.
    """

    def __init__(
        self, resources: Resources, destinations: Destinations, drift: str = "note"
    ) -> None:
        self._resources, self._destinations, self._drift = resources, destinations, drift

    def end(self, ticket: SeriesTicket, ending: Ending, *, no_notice: str = "") -> None:
        """End a series; `no_notice` says why it has no notice although one is wanted."""
        uid, reason = ticket.series_instance_uid, ending.reason
        if no_notice:
            reason = f"{reason}; notice not made: {no_notice}"
            log.error("notice_not_made", series_uid=uid, reason=no_notice)
        now, news = self._resources.clock(), NO_NEWS
        with self._resources.sessions.begin() as session:
            ending = replace(ending, reason=reason)
            state = end_series(session, ticket, ending, self._destinations, now)
            sample = sample_of_refusal(reason) if state is SeriesState.UNSUITABLE else None
            if (sample or state is SeriesState.FAILED) and not ticket.of_self_test:
                news = record_news(session, uid, self._drift, now)
            if sample and not ticket.of_self_test:
                record_sample(session, uid, sample, now)
        tell(news)
        if ending.state is SeriesState.FAILED:
            log.error("analysis_failed", series_uid=uid, reason=reason)
        else:
            log.info("analysis_unsuitable", series_uid=uid, reason=reason)

    def begin(self, ticket: SeriesTicket, analysed: Analysed) -> bool:
        """Keep the objects that come first, to be sent while the others are still encoded.

        Returns
        -------
        bool
            Whether they are kept; if not, they come again with the others. Of a self-test they
            never are.
        """
        if ticket.of_self_test:
            return False
        folder = self._resources.folder.keep_result(analysed.key, first_files(analysed))
        now, news = self._resources.clock(), NO_NEWS
        with self._resources.sessions.begin() as session:
            begun = begin_results(
                session,
                ticket,
                new_result(analysed, folder, begun_on=analysed.occasion),
                new_objects(analysed.objects, folder),
                destinations=self._destinations,
                now=now,
            )
            if begun:  # in the same transaction: nothing of a scanner that is held goes before
                news = record_news(session, ticket.series_instance_uid, self._drift, now)
        tell(news)
        if begun:
            self._decided(ticket, analysed)
        return begun

    def keep(self, ticket: SeriesTicket, analysed: Analysed) -> None:
        """Keep results: files first, then everything else in one transaction.

        A result that is kept already stands, files and all: it may have been sent. Of a self-test
        there is none.
        """
        if ticket.of_self_test:
            self._keep_self_test(ticket, analysed)
            return
        with self._resources.sessions() as session:
            known, begun = is_whole(session, analysed.key), is_begun(session, analysed.key)
        if known:
            self.reuse(ticket, analysed.key)
            return
        folder = self._resources.folder.keep_result(analysed.key, first_files(analysed))
        if files := later_files(analysed):
            self._resources.folder.keep_result(analysed.key, files, part=LATER)
        objects = new_objects(analysed.objects, folder)
        now, news = self._resources.clock(), NO_NEWS
        with self._resources.sessions.begin() as session:
            state = keep_results(
                session,
                ticket,
                new_result(analysed, folder),
                objects,
                destinations=self._destinations,
                now=now,
            )
            if state is not SeriesState.RECEIVING:
                news = record_news(session, ticket.series_instance_uid, self._drift, now)
                sample = sample_of(analysed.summary)
                record_sample(session, ticket.series_instance_uid, sample, now)
        tell(news)
        if state is not SeriesState.RECEIVING and not begun:  # else it was recorded then
            self._decided(ticket, analysed)
        log.info(
            "analysis_superseded" if state is SeriesState.RECEIVING else "analysis_finished",
            series_uid=ticket.series_instance_uid,
            generation=ticket.generation,
            objects=len(objects),
            left_out=analysed.summary.get("geometry", {}).get("left_out", {}),
            seconds=analysed.seconds,
        )

    def _decided(self, ticket: SeriesTicket, analysed: Analysed) -> None:
        """Record a result, and which one it takes the place of."""
        result = new_result(analysed, "")
        facts = {
            "result": reference_of(result.key),
            "in_place_of": reference_of(ticket.predecessor_key or ""),
            "model": result.model,
            "manifest_sha256": (analysed.summary.get("provenance") or {}).get("manifest_sha256"),
            "score": result.score,
            "positive": result.positive,
            "threshold": analysed.summary.get("threshold"),
        }
        self._resources.decisions.record(Decided.RESULT, facts)

    def _keep_self_test(self, ticket: SeriesTicket, analysed: Analysed) -> None:
        """Keep what a self-test came to, where nothing is delivered from; its files are the last.

        It is there to be looked at until the next one.
        """
        folder = self._resources.folder.root / SELF_TEST
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for position, encoded in enumerate(analysed.objects):
            (folder / file_name(position, encoded)).write_bytes(encoded.part10)
        with self._resources.sessions.begin() as session:
            keep_self_test_result(
                session,
                ticket,
                analysed.model,
                json.dumps({**analysed.summary, "seconds": analysed.seconds}),
                self._resources.clock(),
            )
        log.info(
            "analysis_finished",
            series_uid=ticket.series_instance_uid,
            generation=ticket.generation,
            objects=len(analysed.objects),
            left_out=analysed.summary.get("geometry", {}).get("left_out", {}),
            seconds=analysed.seconds,
        )

    def answer(self, ticket: SeriesTicket, answered: Answered) -> None:
        """Keep what readers answer to results; the series has no result of its own.

        Where the documents name no result that is known, what they say is kept all the same: the
        result may turn up.
        """
        uid, now = ticket.series_instance_uid, self._resources.clock()
        with self._resources.sessions.begin() as session:
            documents = feedback_rows(session, ticket, answered, self._resources.identity_key)
            enter_feedback(session, ticket, documents, now)
            lines = answers_in(session, [document.document_uid for document in documents])
            counts = any(not line.mismatch for line in lines)
            reason = "" if counts else OF_OTHERS if lines else NOT_OURS
            new = SeriesState.UNSUITABLE if reason else SeriesState.FEEDBACK
            leave(session, ticket, now, new=new, reason=reason)
        log.info(
            "feedback_received",
            series_uid=uid,
            calling_ae=ticket.calling_ae,
            documents=len(documents),
            known=bool(lines),
            counts=counts,
        )

    def reuse(self, ticket: SeriesTicket, key: str | None) -> None:
        """Let the latest result of a series stand, and deliver it where it has not been.

        Raises
        ------
        ValueError
            If there is none.
        """
        if key is None:
            raise ValueError(f"no result of {ticket.series_instance_uid} that could stand")
        with self._resources.sessions.begin() as session:
            reuse_result(session, ticket, key, self._destinations, self._resources.clock())
        log.info("analysis_unchanged", series_uid=ticket.series_instance_uid, wish=ticket.rerun)
