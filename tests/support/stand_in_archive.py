"""An archive on loopback that answers queries and sends what it is asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import cast

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.transport import ThreadedAssociationServer

from dicom_node.network.association import Peer
from dicom_node.network.sop_classes import STUDY_ROOT_FIND, STUDY_ROOT_MOVE

CT = "1.2.840.10008.5.1.4.1.1.2"
KEYS = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
PENDING, SUCCESS = 0xFF00, 0x0000


@dataclass
class StandInArchive:
    """Answers C-FIND of the Study Root and C-MOVE to one AE.

    Attributes
    ----------
    held
        The instances it has.
    mover
        Where C-MOVE sends; None for an AE that it does not know.
    asked
        Levels of the queries so far, and STUDY_ROOT_MOVE.
    """

    held: list[Dataset]
    mover: tuple[str, int] | None = None
    failing: bool = False
    asked: list[str] = field(default_factory=list)

    def __enter__(self) -> StandInArchive:
        self._ae = AE("ARCHIVE")
        self._ae.add_supported_context(STUDY_ROOT_FIND)
        self._ae.add_supported_context(STUDY_ROOT_MOVE)
        self._ae.add_requested_context(CT, ExplicitVRLittleEndian)
        handlers = [(evt.EVT_C_FIND, self._find), (evt.EVT_C_MOVE, self._move)]
        server = self._ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self._server = cast(ThreadedAssociationServer, server)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        pause = threading.Event()
        any(not self._ae.active_associations or pause.wait(0.1) for _ in range(30))
        self._ae.shutdown()

    @property
    def peer(self) -> Peer:
        port = int(self._server.server_address[1])
        return Peer(ae_title="ARCHIVE", host="127.0.0.1", port=port, timeout_seconds=10)

    def _find(self, event: Event) -> Iterator[tuple[int, Dataset | None]]:
        wanted = event.identifier
        self.asked.append(str(wanted.QueryRetrieveLevel))
        if self.failing:
            yield 0xA700, None
            return
        level = str(wanted.QueryRetrieveLevel)
        above = list(KEYS.values())[: list(KEYS).index(level)]
        groups: dict[str, list[Dataset]] = {}
        for each in self.held:
            if all(each[key].value == wanted[key].value for key in above):
                groups.setdefault(str(each[KEYS[level]].value), []).append(each)
        for group in groups.values():
            yield PENDING, described(group, wanted)

    def _move(self, event: Event) -> Iterator[object]:
        wanted = event.identifier
        self.asked.append("MOVE")
        if self.mover is None:
            yield None, None
            return
        series = [each for each in self.held if each.SeriesInstanceUID == wanted.SeriesInstanceUID]
        yield *self.mover, {"ae_title": "AINODE"}
        yield len(series)
        for each in series:
            yield PENDING, each


def described(group: list[Dataset], wanted: Dataset) -> Dataset:
    """What a match says: the attributes asked for, as far as they are known."""
    ds = Dataset()
    for element in wanted:
        ds[element.tag] = group[0].get(element.tag, element)
    ds.QueryRetrieveLevel = wanted.QueryRetrieveLevel
    if "NumberOfSeriesRelatedInstances" in wanted:
        ds.NumberOfSeriesRelatedInstances = str(len(group))
    return ds
