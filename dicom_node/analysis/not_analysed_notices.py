"""Have a worker make the notice that a series was not analysed, and keep it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from dicom_node.analysis.request_builder import RequestBuilder
from dicom_node.analysis.result_rows import file_name, new_objects
from dicom_node.analysis.worker.messages import AnalysisRequest, EncodedObject, NoticeRequest
from pipeline.encode.result.identity import inputs_digest, result_key, stands
from pipeline.reasons import UnsuitableReason
from pipeline.series.eligibility import NOT_MEANT
from storage.delivery.notices import NewNotice
from storage.files.folder import StorageFolder
from storage.files.sums import with_sums
from storage.results.kept_results import NewObject, NewResult
from storage.series.lifecycle import SeriesTicket

Wanted = Literal["all", "relevant", "no"]
Refused = dict[Wanted, frozenset[str]]

SILENT: Refused = {"all": frozenset({UnsuitableReason.OWN_RESULT}), "relevant": NOT_MEANT}
"""Codes without a notice. Never of our own results: that could go round and round."""


class Notices:
    """Asks workers for the notices that a site wants, and keeps what they make.

    A notice holds attributes of the headers, which anybody may have sent: only a worker, which may
    die of them, parses them.
    """

    def __init__(
        self, folder: StorageFolder, request_builder: RequestBuilder, wanted: Wanted
    ) -> None:
        self._folder = folder
        self._request_builder = request_builder
        self._wanted = wanted

    def request(self, ticket: SeriesTicket, code: str, text: str) -> NoticeRequest | None:
        """Build the request for a notice; None if none is wanted.

        Parameters
        ----------
        code, text
            Why the series was not analysed; without anything of the patient.
        """
        if not is_wanted(self._wanted, code) or not ticket.paths:
            return None
        return notice_request(self._request_builder.build_for_notice(ticket), code, text)

    def keep(self, request: NoticeRequest, encoded: EncodedObject) -> NewNotice:
        """Keep the file of a notice that was made."""
        name = file_name(0, encoded)
        folder = self._folder.keep_result(request.key, with_sums({name: encoded.part10}))
        objects = new_objects([encoded], folder)
        return _new_notice(request.key, request.inputs, objects, folder)


def standing_notice(ticket: SeriesTicket, request: NoticeRequest) -> NewNotice | None:
    """Name the latest notice of a series, if it says what the request asks for."""
    if ticket.predecessor_key and stands(request.inputs, request.series.earlier):
        return _new_notice(ticket.predecessor_key, request.inputs, (), "")
    return None


def is_wanted(wanted: Wanted, code: str) -> bool:
    """Say whether a site wants a notice for a reason."""
    return wanted != "no" and code not in SILENT[wanted]


def notice_request(series: AnalysisRequest, code: str, text: str) -> NoticeRequest:
    """Build the request for a notice; its inputs are instances, reason and equipment."""
    config = series.config
    parameters = {
        **config.equipment.as_parameters(),
        "series number base": str(config.series_number_base),
        "code": code,
        "text": text,
    }
    inputs = inputs_digest(series.series_instance_uid, series.instances, "notice", parameters)
    key = result_key(inputs, series.occasion)
    return NoticeRequest(series=series, inputs=inputs, key=key, code=code, text=text)


def _new_notice(key: str, inputs: str, objects: Sequence[NewObject], folder: str) -> NewNotice:
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
        objects=objects,
    )
