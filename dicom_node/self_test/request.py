"""Ask the running node for a self-test, and wait for what comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable

from dicom_node.errors import NodeError
from dicom_node.folder_lock import is_running
from dicom_node.resources import Resources
from storage.results.self_tests import ENDED, SelfTestRun, request_self_test, self_test
from storage.states import SelfTestState

LOOK_SECONDS = 0.5  #: between two looks whether it has ended


def self_test_now(
    resources: Resources, by: str, pause: Callable[[float], object] = time.sleep
) -> SelfTestRun:
    """Ask for a self-test, and wait until it has passed or failed.

    Parameters
    ----------
    by
        Who asks.

    Raises
    ------
    NodeError
        If the node does not run, or ends meanwhile.
    """
    folder = resources.folder.root
    if not is_running(folder):
        raise NodeError("expected a node that runs, got none: it tests itself")
    with resources.sessions.begin() as session:
        number = request_self_test(session, resources.clock(), by)
    while True:
        with resources.sessions.reading() as session:
            run = self_test(session, number)
        if run.state in ENDED:
            return run
        if run.state is SelfTestState.CANCELED or not is_running(folder):
            raise NodeError("the node was stopped meanwhile")
        pause(LOOK_SECONDS)
