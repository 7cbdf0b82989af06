"""Base of the stand-in servers: they run on loopback while a ``with`` block lasts."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from pynetdicom import AE, evt

from dicom_node.demo.stand_in_pacs import end, serve


class LoopbackServer(ABC):
    """A server on 127.0.0.1.

    Attributes
    ----------
    port
        0 takes any free port, which is known once the server has started.
    """

    port: int = 0

    @abstractmethod
    def start(self) -> int:
        """Start to serve; return the port."""

    @abstractmethod
    def stop(self) -> None:
        """Stop to serve, and end the threads."""

    def __enter__(self) -> Self:
        self.port = self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class DicomServer(LoopbackServer):
    """A DICOM server by pynetdicom; a subclass gives its presentation contexts and handlers."""

    ae_title = "PACS"

    @abstractmethod
    def offer(self, ae: AE) -> list[evt.EventHandlerType]:
        """Add the supported contexts to the application entity; return the handlers."""

    def start(self) -> int:
        self._ae = AE(self.ae_title)
        handlers = self.offer(self._ae)
        self._server = serve(self._ae, self.port, handlers)
        return int(self._server.server_address[1])

    def stop(self) -> None:
        end(self._server)
        all_associations_end(self._ae)
        self._ae.shutdown()


def all_associations_end(ae: AE) -> bool:
    """Wait up to 3 s for the end of all associations of an AE; False if one lasts longer."""
    pause = threading.Event()
    return any(not ae.active_associations or pause.wait(0.1) for _ in range(30))
