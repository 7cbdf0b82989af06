"""The lock of the storage folder: to ask whether a node runs needs no right to write."""

import fcntl
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_node.errors import NodeError
from dicom_node.folder_lock import RUNNING, STARTING, is_running, one_of_several, only_node


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)):
        pytest.skip("a disk cannot be mounted here: that takes root and its capabilities")
    yield folder
    run("umount", "--lazy", str(folder))


def run(*command: str) -> int:
    return subprocess.run(command, capture_output=True, check=False).returncode


def test_a_node_on_a_disk_that_became_read_only_is_seen_to_run(disk: Path) -> None:
    with only_node(disk):
        assert not run("mount", "--bind", str(disk), str(disk))
        try:
            assert not run("mount", "-o", "remount,ro,bind", str(disk))
            assert is_running(disk)
            with pytest.raises(NodeError, match=r"can be written.*Read-only"), only_node(disk):
                pass
        finally:
            run("umount", "--lazy", str(disk))
    assert not is_running(disk)


def test_to_ask_whether_a_node_runs_writes_where_it_may(tmp_path: Path) -> None:
    """A network folder locks nothing that is open for reading only."""
    with only_node(tmp_path):
        assert is_running(tmp_path)
    (tmp_path / RUNNING).chmod(0o400)
    assert not is_running(tmp_path)


def test_a_receiver_that_waits_for_one_that_starts_alone_can_be_stopped(tmp_path: Path) -> None:
    ending = threading.Event()
    ending.set()
    with one_of_several(tmp_path, "a") as first:
        assert first.is_alone
        with (
            pytest.raises(NodeError, match="ended while it waited"),
            one_of_several(tmp_path, "b", ending),
        ):
            pass
        first.admit()
        with one_of_several(tmp_path, "b") as second:
            assert not second.is_alone


def test_after_one_that_was_killed_while_it_started_alone_the_next_does(tmp_path: Path) -> None:
    with one_of_several(tmp_path, "a") as first:
        first.admit()
        with one_of_several(tmp_path, "b") as second:
            assert not second.is_alone
    with one_of_several(tmp_path, "a"):
        pass  # it is killed before it has looked at all files
    lock = os.open(tmp_path / STARTING, os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_SH)  # one that had waited was quicker than the next
    waits, admitted = threading.Event(), list[bool]()

    def start() -> None:
        waits.set()
        with one_of_several(tmp_path, "c") as third:
            admitted.append(third.is_alone)

    thread = threading.Thread(target=start)
    thread.start()
    waits.wait()
    os.close(lock)
    thread.join()
    assert admitted == [True]
