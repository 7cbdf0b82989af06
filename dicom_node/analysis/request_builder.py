"""Build the request for a worker: the files of a series, its earlier results, its priors."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Set
from dataclasses import replace
from datetime import date
from pathlib import Path

from pydicom.uid import KeyObjectSelectionDocumentStorage

from dicom_node.analysis.result_rows import KEPT
from dicom_node.analysis.worker.inputs import OTHER_METHOD
from dicom_node.analysis.worker.messages import (
    AnalysisConfig,
    AnalysisRequest,
    Begun,
    FeedbackRequest,
    ImagesRequest,
    SourceFile,
    images_request,
    read_occasion,
)
from dicom_node.delivery.fallback_forms import supported_forms
from dicom_node.errors import CannotRepeat
from dicom_node.logs import log
from dicom_node.resources import Resources
from pipeline.analysis_file import read_values
from pipeline.encode.result.identity import Prior, Rejection, ReportReference
from pipeline.encode.result.kinds import MAIN_DOCUMENTS, SUPERSEDING
from pipeline.encode.result.products import Products
from pipeline.encode.result.series_numbers import SeriesOfStudy, numbering
from pipeline.errors import PipelineError
from pipeline.options import METHOD
from pipeline.reasons import ClosedBy
from pipeline.series.attributes import calendar_date
from pipeline.series.image_rules import SelectionRules
from storage.delivery.capabilities import Capability, capabilities
from storage.delivery.rejections import SentObject, sent_before
from storage.files.folder import StorageFolder
from storage.results.kept_results import (
    KeptReport,
    begun_result,
    documents_of,
    kept_object_paths,
    latest_result,
)
from storage.results.priors import KeptPrior, inputs_so_far, priors
from storage.series.lifecycle import OpenSeries, SeriesTicket
from storage.series.rerun import EndedSeries, ended_series
from storage.series.slices import held_slices
from storage.series.study import series_numbers
from storage.states import Rerun

GONE = ""  #: in place of the inputs of a result whose files are gone: it is made anew
MAX_PRIORS = 5  #: more than anybody compares


class RequestBuilder:
    """Builds the requests for workers.

    Parameters
    ----------
    compare
        Whether earlier results of the patient are looked for.
    destinations
        Who gets the results: what they do not take is made in a plainer form.
    rejecting
        Those of them that are told which earlier results are superseded.
    quiet
        Whether it is not logged which forms are chosen: a command only asks what would be made.
    """

    def __init__(
        self,
        resources: Resources,
        config: AnalysisConfig,
        *,
        compare: bool,
        destinations: Iterable[str] = (),
        rejecting: Iterable[str] = (),
        quiet: bool = False,
    ) -> None:
        self._clock, self.config = resources.clock, config
        self._destinations, self._rejecting = tuple(destinations), tuple(rejecting)
        self._chosen = config.products  #: forms, as they were logged last
        self._sessions, self._folder = resources.sessions, resources.folder
        self._compare, self._quiet = compare, quiet

    def build(self, ticket: SeriesTicket) -> AnalysisRequest:
        """Build the request for the analysis of a claimed series.

        Raises
        ------
        CannotRepeat
            If a rerun was asked for, and not enough is kept.
        """
        if ticket.rerun and ticket.purged:
            raise CannotRepeat(
                f"{ticket.purged} of its instances are not kept any more: send it again"
            )
        if ticket.rerun and self._folder.absent(ticket.paths):
            raise CannotRepeat("its instances are not kept any more")
        return replace(
            self.build_for_notice(ticket),
            priors=self._priors(ticket) if self._compare and not ticket.of_self_test else (),
            kept=self._kept(ticket) if ticket.rerun is Rerun.REISSUE else None,
            rejections=tuple(self._rejections(ticket)),
            begun=self._begun(ticket),
        )

    def build_for_feedback(self, ticket: SeriesTicket, own: Set[str]) -> FeedbackRequest:
        """Build the request to read the documents of a series, but those that are our results."""
        return FeedbackRequest(
            series_instance_uid=ticket.series_instance_uid,
            files=tuple(file for file in self._files(ticket) if file.sop_instance_uid not in own),
            own_uids=frozenset({self.config.equipment.station_uid}),
        )

    def build_for_notice(self, ticket: SeriesTicket) -> AnalysisRequest:
        """Build a request with the files and what they supersede: all that a notice needs.

        That is the latest result there is now: this very attempt may have begun one.
        """
        with self._sessions() as session:
            latest_key = latest_result(session, ticket.series_instance_uid)
        ticket = replace(ticket, predecessor_key=latest_key)
        with self._sessions() as session:
            earlier = inputs_so_far(session, ticket.series_instance_uid)
            latest = kept_object_paths(session, ticket.predecessor_key or "")
            known = [capabilities(session, name) for name in self._destinations]
            study = [
                SeriesOfStudy(series_instance_uid=uid, number=number)
                for uid, number in series_numbers(session, ticket.study_instance_uid)
            ]
        if self._folder.absent(latest):
            earlier = (*earlier[:-1], GONE)
        documents = self._documents(ticket)
        main = _main(documents)
        return AnalysisRequest(
            series_instance_uid=ticket.series_instance_uid,
            files=self._files(ticket),
            config=replace(
                for_self_test(self.config) if ticket.of_self_test else self.config,
                products=self._supported(known),
            ),
            created=self._clock().astimezone(),
            earlier=earlier,
            revision=len(earlier) + 1,
            predecessor=main,
            superseded=documents,
            attempt=ticket.attempts,
            draw=uuid.uuid4().hex,
            numbering=numbering(ticket.series_instance_uid, study, self.config.series_number_base),
            closed_by=_proof(ticket.closed_by),
        )

    def _supported(self, known: list[list[Capability]]) -> Products:
        """Choose the forms that destinations take; log it when they change."""
        products = supported_forms(self.config.products, known)
        if products != self._chosen and not self._quiet:
            self._chosen = products
            log.info(
                "forms_chosen",
                segmentation=products.segmentation,
                heatmap=products.heatmap,
                heatmap_columns=products.heatmap_columns,
            )
        return products

    def build_ahead(self, series: OpenSeries) -> ImagesRequest:
        """Build the request for what there is in a series that is about to be closed."""
        with self._sessions.reading() as session:
            slices = held_slices(session, series.series_instance_uid)
        files = ((part.path, part.sop_instance_uid, part.digest) for part in slices)
        config = for_self_test(self.config) if series.of_self_test else self.config
        return images_request(self._sources(files), config)

    def _files(self, ticket: SeriesTicket) -> tuple[SourceFile, ...]:
        return self._sources(
            zip(ticket.paths, ticket.sop_instance_uids, ticket.digests, strict=True)
        )

    def _sources(self, files: Iterable[tuple[str, str, str]]) -> tuple[SourceFile, ...]:
        wanted = tuple(files)
        self._folder.bring(path for path, _, _ in wanted)
        return tuple(
            SourceFile(path=self._folder.locate(path), sop_instance_uid=uid, digest=digest)
            for path, uid, digest in wanted
        )

    def _documents(self, ticket: SeriesTicket) -> dict[str, ReportReference]:
        """Find the documents of the latest result of the series, by kind."""
        if ticket.predecessor_key is None:
            return {}
        with self._sessions() as session:
            documents = documents_of(session, ticket.predecessor_key, SUPERSEDING)
        study = ticket.study_instance_uid
        return {kind: _reference(document, study) for kind, document in documents.items()}

    def _priors(self, ticket: SeriesTicket) -> tuple[Prior, ...]:
        with self._sessions() as session:
            found = priors(session, ticket.series_instance_uid, MAX_PRIORS, MAIN_DOCUMENTS)
        return tuple(_prior(kept, day) for kept in found if (day := calendar_date(kept.study_date)))

    def _begun(self, ticket: SeriesTicket) -> Begun | None:
        """Find a result that an earlier attempt has begun."""
        with self._sessions() as session:
            row = begun_result(session, ticket)
        if row is None:
            return None
        created, draw = read_occasion(row.begun_on)
        before = replace(ticket, predecessor_key=row.predecessor_key)
        documents = self._documents(before)
        return Begun(
            key=row.key,
            created=created,
            draw=draw,
            revision=row.revision,
            predecessor=_main(documents),
            superseded=documents,
            rejections=tuple(self._rejections(before, begun=row.key)),
            kept=self._folder.locate(row.folder) / KEPT,
        )

    def _rejections(self, ticket: SeriesTicket, begun: str = "") -> Iterator[Rejection]:
        """Find what destinations that want to be told have of earlier results."""
        for destination in self._rejecting if ticket.predecessor_key else ():
            with self._sessions() as session:
                known = capabilities(session, destination)
                uid = ticket.series_instance_uid
                sent = sent_before(session, uid, destination, begun=begun)
            taken = {capability.sop_class_uid for capability in known if capability.is_accepted}
            if sent and (not known or KeyObjectSelectionDocumentStorage in taken):
                objects = tuple(_reference(item, ticket.study_instance_uid) for item in sent)
                yield Rejection(destination=destination, objects=objects)

    def _kept(self, ticket: SeriesTicket) -> Path:
        with self._sessions() as session:
            (ended,) = ended_series(session, series=[ticket.series_instance_uid])
        return kept_analysis(
            ended,
            self._folder,
            self.config.model.sha256,
            lobes=self.config.options.lobes,
        )


def for_self_test(config: AnalysisConfig) -> AnalysisConfig:
    """Analyse the synthetic series whatever series, and above whatever score, a site reports on."""
    return replace(
        config,
        rules=SelectionRules(own_uids=config.rules.own_uids),
        options=replace(config.options, lesions_when_negative=True),
    )


def _proof(closed_by: str) -> ClosedBy | None:
    """Read a proof that was kept; one of another version is not known."""
    return next((proof for proof in ClosedBy if proof == closed_by), None)


def kept_analysis(
    ended: EndedSeries, folder: StorageFolder, model_sha256: str, *, lobes: bool = False
) -> Path:
    """Find what a result can be issued again from.

    Parameters
    ----------
    folder
        The storage folder.
    model_sha256
        Of the manifest of the model that is set now.
    lobes
        Whether the result is to say something of lobes.

    Raises
    ------
    CannotRepeat
        If there is no analysis, none that is kept, or one of another model or method; or one
        without the lobes that are wanted.
    """
    if not ended.analysed or ended.folder is None:
        raise CannotRepeat("its instances have not been analysed: use reprocess")
    path = folder.locate(ended.folder) / KEPT
    try:
        kept = read_values(path)
    except (OSError, PipelineError) as fault:
        raise CannotRepeat("no readable analysis of it is kept: use reprocess") from fault
    made_by = kept.provenance
    if made_by.weights_sha256 != model_sha256:
        raise CannotRepeat(
            f"what is kept is of the model {made_by.model_name} {made_by.model_version},"
            " which is not the one set now: use reprocess"
        )
    if kept.method != METHOD:
        raise CannotRepeat(OTHER_METHOD)
    if lobes and kept.lobar is None:
        raise CannotRepeat("what is kept has no lobes, which are asked for now: use reprocess")
    return path


def _main(documents: dict[str, ReportReference]) -> ReportReference | None:
    """Take the main document out of those of a result."""
    return next((documents.pop(kind) for kind in MAIN_DOCUMENTS if kind in documents), None)


def _prior(kept: KeptPrior, study_date: date) -> Prior:
    found = json.loads(kept.summary)
    opacities = found.get("opacities_ml", {})
    return Prior(
        study_date=study_date,
        score=found["score"],
        threshold=found["threshold"],
        indeterminate_from=found.get("indeterminate_from"),
        right=found["involvement"]["right"],
        left=found["involvement"]["left"],
        total=found["involvement"]["total"],
        model=kept.model,
        report=_reference(kept.report, kept.study_instance_uid),
        ground_glass_ml=opacities.get("ground_glass"),
        consolidation_ml=opacities.get("consolidation"),
    )


def _reference(report: KeptReport | SentObject, study_instance_uid: str) -> ReportReference:
    return ReportReference(
        sop_class_uid=report.sop_class_uid,
        sop_instance_uid=report.sop_instance_uid,
        series_instance_uid=report.series_instance_uid,
        study_instance_uid=study_instance_uid,
    )
