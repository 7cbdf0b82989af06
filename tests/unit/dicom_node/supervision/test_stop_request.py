"""A signal is heard at whatever step of the main thread it comes."""

import os
import signal
import subprocess
import sys

import pytest

AT_THE_WORST_MOMENT = """
import os, signal
from dicom_node.supervision.stop_request import stop_request

asked = stop_request()
with asked._cond:  # as within asked.wait(), before it waits
    for _ in range({times}):
        os.kill(os.getpid(), signal.{name})
print(asked.wait(30))
"""


@pytest.mark.parametrize(("name", "times"), [("SIGTERM", 1), ("SIGINT", 1), ("SIGTERM", 70_000)])
def test_it_comes_while_the_wait_for_it_begins(name: str, times: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", AT_THE_WORST_MOMENT.format(name=name, times=times)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=100,
        check=False,
    )
    assert (ended.stdout.strip(), ended.returncode) == ("True", 0), ended.stderr


WHILE_IT_WAITS = """
import signal
from dicom_node.supervision.stop_request import SIGNALS, stop_request

asked = stop_request()
signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # nothing wakes this thread to run a handler
print("waits", flush=True)
print(asked.wait(10), flush=True)
"""


def test_it_is_heard_though_the_main_thread_is_not_woken() -> None:
    waiting = subprocess.Popen(
        [sys.executable, "-c", WHILE_IT_WAITS],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert waiting.stdout is not None
    with waiting:
        assert waiting.stdout.readline() == "waits\n"
        waiting.send_signal(signal.SIGTERM)
        assert waiting.stdout.read() == "True\n"
    assert waiting.returncode == 0
