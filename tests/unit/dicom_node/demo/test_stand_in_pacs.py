"""The stand-in PACS ends whatever its peers are doing."""

import socket
import threading
from pathlib import Path

import pytest

from dicom_node.demo.stand_in_pacs import StandInPacs

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")


def test_a_peer_that_has_asked_for_nothing_yet_does_not_disturb_the_end(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with StandInPacs(tmp_path) as pacs, socket.create_connection(("127.0.0.1", pacs.port)) as peer:
        wait_until_accepted(pacs)
        pacs.__exit__(None, None, None)

        peer.settimeout(10)
        assert peer.recv(1) == b""

    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


def wait_until_accepted(pacs: StandInPacs) -> None:
    """Wait until the stand-in has an association for the connection."""
    waiting = threading.Event()
    for _ in range(1000):
        if pacs._ae.active_associations:
            return
        waiting.wait(0.01)
    raise TimeoutError("the connection was not accepted")
