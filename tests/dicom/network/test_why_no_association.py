"""A person is told why no association came about: the reason that the peer gave, if it gave one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context

from dicom_node.network.association import HUNG_UP, Peer, associate
from dicom_node.network.sop_classes import STUDY_ROOT_FIND, VERIFICATION


def strict(ae: AE) -> None:
    ae.require_called_aet = True


def another_service(ae: AE) -> None:
    ae.remove_supported_context(VERIFICATION)
    ae.add_supported_context(STUDY_ROOT_FIND)


def willing(_: AE) -> None:
    pass


@contextmanager
def peer(prepare: Callable[[AE], None], *handlers: evt.EventHandlerType) -> Iterator[Peer]:
    ae = AE("OTHER")
    ae.add_supported_context(VERIFICATION)
    prepare(ae)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=list(handlers))
    assert server is not None
    try:
        port = server.socket.getsockname()[1]
        yield Peer(ae_title="PEER", host="127.0.0.1", port=port, timeout_seconds=5)
    finally:
        ae.shutdown()


def abort(event: evt.Event) -> None:
    event.assoc.abort()


@pytest.mark.parametrize(
    ("prepare", "handlers", "why"),
    [
        (strict, (), "rejected the association: Called AE title not recognised"),
        (another_service, (), "accepted none of the presentation contexts"),
        (willing, ((evt.EVT_REQUESTED, abort),), HUNG_UP),
    ],
)
def test_the_reason_of_the_peer_is_told(
    prepare: Callable[[AE], None], handlers: tuple[evt.EventHandlerType, ...], why: str
) -> None:
    with peer(prepare, *handlers) as called:
        assoc, told = associate(called, [build_context(VERIFICATION)], calling_ae="US")
    assert not assoc.is_established
    assert told == f"PEER at 127.0.0.1:{called.port} {why}"
