"""A node that has stopped ends, though a process of a library hangs."""

import os
import subprocess
import sys
from pathlib import Path

NODE = """
import multiprocessing, os, signal, time
from dicom_node import logs
from dicom_node.supervision.process_end import end_process

if __name__ == "__main__":
    writer = logs.configure(level="INFO", style="json")
    child = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(300,))
    child.start()
    os.kill(child.pid, signal.SIGSTOP)
    print(child.pid, flush=True)
    end_process(writer, status=3)
"""


def test_a_process_that_was_stopped_is_killed_and_keeps_nobody(tmp_path: Path) -> None:
    (tmp_path / "node.py").write_text(NODE)

    ended = subprocess.run(
        [sys.executable, str(tmp_path / "node.py")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=100,
        check=False,
    )

    assert ended.returncode == 3
    child = int(ended.stdout.splitlines()[0])
    status = Path(f"/proc/{child}/status")
    assert not status.exists() or "State:\tZ" in status.read_text()


HANGING = """
import threading
from dicom_node import logs
from dicom_node.supervision.process_end import ended_within

writer = logs.configure(level="INFO", style="json")
with ended_within(0.2, writer, lambda: 5):
    threading.Event().wait()
"""


def test_a_stop_that_hangs_is_given_up_and_said_so(tmp_path: Path) -> None:
    (tmp_path / "node.py").write_text(HANGING)

    ended = subprocess.run(
        [sys.executable, str(tmp_path / "node.py")],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=100,
        check=False,
    )

    assert ended.returncode == 5
    assert b"stop_given_up" in ended.stdout + ended.stderr
