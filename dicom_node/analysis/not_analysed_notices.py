"""Make the notice that a series was not analysed, from its headers, without the engine."""

from __future__ import annotations

from typing import Literal

from dicom_node.analysis.request_builder import RequestBuilder
from dicom_node.analysis.result_rows import file_name, new_object
from dicom_node.analysis.worker import notice
from dicom_node.analysis.worker_messages import AnalysisRequest, EncodedObject
from dicom_node.logs import log
from pipeline.encode.result.identity import inputs_digest, result_key, stands
from pipeline.reasons import UnsuitableReason
from pipeline.series.eligibility import NOT_MEANT
from storage.delivery.notices import NewNotice
from storage.errors import DatabaseUnavailable, StorageFull
from storage.files.folder import StorageFolder
from storage.results.kept_results import NewResult
from storage.series.lifecycle import SeriesTicket

Wanted = Literal["all", "relevant", "no"]
Refused = dict[Wanted, frozenset[str]]

SILENT: Refused = {"all": frozenset({UnsuitableReason.OWN_RESULT}), "relevant": NOT_MEANT}
"""Codes without a notice. Never of our own results: that could go round and round."""


class Notices:
    """Makes the notices that a site wants."""

    def __init__(
        self, folder: StorageFolder, request_builder: RequestBuilder, wanted: Wanted
    ) -> None:
        self._folder = folder
        self._request_builder = request_builder
        self._wanted = wanted

    def make(self, ticket: SeriesTicket, code: str, text: str) -> NewNotice | None:
        """Make a notice and keep its file; None if none is wanted, or none can be made.

        Parameters
        ----------
        code, text
            Why the series was not analysed; without anything of the patient.
        """
        if not is_wanted(self._wanted, code) or not ticket.paths:
            return None
        try:
            return self._make(ticket, code, text)
        except (StorageFull, DatabaseUnavailable):  # this can wait until it can be written
            raise
        except Exception as fault:  # noqa: BLE001  # the series must end, whatever its headers hold
            log.error(
                "notice_not_made",
                series_uid=ticket.series_instance_uid,
                reason=type(fault).__name__,  # its words might quote a header
            )
            return None

    def _make(self, ticket: SeriesTicket, code: str, text: str) -> NewNotice:
        request = self._request_builder.build_for_notice(ticket)
        inputs = notice_inputs(request, code, text)
        if ticket.predecessor_key and stands(inputs, request.earlier):
            return _new_notice(ticket.predecessor_key, inputs, (), "")
        key = result_key(inputs, request.occasion)
        encoded = notice(request, key, code, text)
        folder = self._folder.keep_result(key, {file_name(0, encoded): encoded.part10})
        return _new_notice(key, inputs, (encoded,), folder)


def is_wanted(wanted: Wanted, code: str) -> bool:
    """Say whether a site wants a notice for a reason."""
    return wanted != "no" and code not in SILENT[wanted]


def notice_inputs(request: AnalysisRequest, code: str, text: str) -> str:
    """Digest of instances, reason and equipment."""
    config = request.config
    parameters = {
        **config.equipment.as_parameters(),
        "series number base": str(config.series_number_base),
        "code": code,
        "text": text,
    }
    return inputs_digest(request.series_instance_uid, request.instances, "notice", parameters)


def _new_notice(
    key: str, inputs: str, objects: tuple[EncodedObject, ...], folder: str
) -> NewNotice:
    return NewNotice(
        result=NewResult(
            key=key,
            inputs=inputs,
            model="",
            score=None,
            positive=None,
            summary="{}",
            folder=folder,
        ),
        objects=[
            new_object(encoded, f"{folder}/{file_name(n, encoded)}")
            for n, encoded in enumerate(objects)
        ],
    )
