"""Files that a worker fetches are for its user alone; they outlive neither task nor process."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dicom_node.analysis.fetch.private_folder import PrivateFolder
from dicom_node.errors import NodeError, NotFetched
from tests.support.paths import ROOT

HOLDS = """
import sys, time
from pathlib import Path
from dicom_node.analysis.fetch.private_folder import PrivateFolder
with PrivateFolder(Path(sys.argv[1])).of_a_task() as folder:
    (folder / "000000").write_bytes(b"an image")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    PrivateFolder(tmp_path / "own" / "fetched", most_bytes=1).prepare()
    return tmp_path / "own" / "fetched"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_each_task_has_a_folder_of_its_own_until_its_end(root: Path) -> None:
    folder = PrivateFolder(root)
    with folder.of_a_task() as one, folder.of_a_task() as other:
        (one / "000000").write_bytes(b"an image")
        assert one != other
        assert [mode(root), mode(one), mode(other)] == [0o700] * 3
        folder.of_a_task()
        assert (one / "000000").is_file()
    assert list(root.iterdir()) == []


def test_it_is_removed_when_the_task_fails(root: Path) -> None:
    def fail() -> None:
        with PrivateFolder(root).of_a_task() as folder:
            (folder / "000000").write_bytes(b"an image")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(root.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_no_more(root: Path) -> None:
    (root / "notes").write_text("of the operator")
    held = [
        subprocess.Popen(
            [sys.executable, "-c", HOLDS, str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
        )
        for _ in range(2)
    ]
    folders = [Path(one.stdout.readline().strip()) for one in held if one.stdout]
    held[0].send_signal(signal.SIGKILL)
    held[0].communicate(timeout=30)
    assert all(folder.is_dir() for folder in folders)

    PrivateFolder(root, most_bytes=1).prepare()

    assert [folder.is_dir() for folder in folders] == [False, True]
    assert (root / "notes").is_file()
    held[1].communicate(timeout=30)
    assert not folders[1].exists()


def test_a_folder_that_others_may_read_is_refused(root: Path) -> None:
    (root / "task-of-somebody").mkdir()
    root.chmod(0o750)
    with pytest.raises(
        NodeError, match=r"fetch_folder: expected one of this user alone .*mode 700"
    ):
        PrivateFolder(root).prepare()
    assert (root / "task-of-somebody").is_dir()


def test_a_link_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    with pytest.raises(NodeError, match="fetch_folder: expected"):
        PrivateFolder(tmp_path / "link").prepare()


def test_a_folder_without_room_is_refused(root: Path) -> None:
    with pytest.raises(NodeError, match=r"expected room for 1000000000\.0 GB, got .* GB are free"):
        PrivateFolder(root, most_bytes=10**18).prepare()


def test_one_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NodeError, match="expected one that can be made"):
        PrivateFolder(tmp_path / "file" / "fetched").prepare()
    with (
        pytest.raises(NotFetched, match="no folder can be made in"),
        PrivateFolder(tmp_path / "missing").of_a_task(),
    ):
        pass
