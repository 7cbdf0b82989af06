"""A signal is heard at whatever step of the main thread it comes."""

import os
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
