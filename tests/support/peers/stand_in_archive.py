"""A stand-in archive on loopback, which answers C-FIND and C-MOVE."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.events import Event

from dicom_node.network.association import Peer
from dicom_node.network.sop_classes import STUDY_ROOT_FIND, STUDY_ROOT_MOVE
from tests.support.peers.pacs import DicomServer

CT = "1.2.840.10008.5.1.4.1.1.2"
KEYS = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
PENDING, SUCCESS = 0xFF00, 0x0000


@dataclass
class StandInArchive(DicomServer):
    """Answers C-FIND of the Study Root and C-MOVE to one AE.

    Attributes
    ----------
    held
        Instances in the archive.
    mover
        Address that C-MOVE sends to; None if the destination AE is unknown.
    failing, failing_for
        Whether no query is answered in order; series, by UID, of which none is.
    asked
        Levels of the queries so far, and MOVE for each C-MOVE.
    """

    ae_title = "ARCHIVE"

    held: list[Dataset]
    mover: tuple[str, int] | None = None
    failing: bool = False
    failing_for: Collection[str] = ()
    asked: list[str] = field(default_factory=list)

    def offer(self, ae: AE) -> list[evt.EventHandlerType]:
        ae.add_supported_context(STUDY_ROOT_FIND)
        ae.add_supported_context(STUDY_ROOT_MOVE)
        ae.add_requested_context(CT, ExplicitVRLittleEndian)
        return [(evt.EVT_C_FIND, self._find), (evt.EVT_C_MOVE, self._move)]

    @property
    def peer(self) -> Peer:
        return Peer(ae_title=self.ae_title, host="127.0.0.1", port=self.port, timeout_seconds=10)

    def _find(self, event: Event) -> Iterator[tuple[int, Dataset | None]]:
        query = event.identifier
        level = str(query.QueryRetrieveLevel)
        self.asked.append(level)
        if self.failing or query.get("SeriesInstanceUID") in self.failing_for:
            yield 0xA700, None
            return
        above = list(KEYS.values())[: list(KEYS).index(level)]
        groups: dict[str, list[Dataset]] = {}
        for ds in self.held:
            if all(ds[key].value == query[key].value for key in above):
                groups.setdefault(str(ds[KEYS[level]].value), []).append(ds)
        for group in groups.values():
            yield PENDING, described(group, query)

    def _move(self, event: Event) -> Iterator[object]:
        request = event.identifier
        self.asked.append("MOVE")
        if self.mover is None:
            yield None, None
            return
        series = [ds for ds in self.held if ds.SeriesInstanceUID == request.SeriesInstanceUID]
        yield *self.mover, {"ae_title": "AINODE"}
        yield len(series)
        for ds in series:
            yield PENDING, ds


def described(group: list[Dataset], query: Dataset) -> Dataset:
    """Build the identifier of a match: the attributes asked for, as far as they are known."""
    ds = Dataset()
    for element in query:
        ds[element.tag] = group[0].get(element.tag, element)
    ds.QueryRetrieveLevel = query.QueryRetrieveLevel
    if "NumberOfSeriesRelatedInstances" in query:
        ds.NumberOfSeriesRelatedInstances = str(len(group))
    return ds
