"""A full disk is said in one sentence that names it, and nothing that was begun is left."""

from __future__ import annotations

import errno
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from config.reader import load
from dicom_node.assembly.resources import open_resources
from dicom_node.cli.app import main
from dicom_node.cli.exit_codes import ExitStatus, status_of
from dicom_node.identity_key import keyed
from dicom_node.maintenance.certificates import provide
from dicom_node.resources import Resources
from storage.files.installation import draw_installation
from tests.support.dispatcher_samples import NOW, RESULT, Workers, dispatcher
from tests.support.dispatcher_samples import open_resources as node_with_data
from tests.support.node_process import INI
from tests.unit.dicom_node.maintenance.test_retention import arrive

LIMIT = 0  #: bytes: of the files that can be written, as if the disk were full
SERIES = "2.25.2"
Ended = tuple[int, str]


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let no file of this process become larger."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Resources]:
    """A node with a series; its database is open, so that readers write nothing beside it."""
    (tmp_path / "data").mkdir()
    resources = keyed(node_with_data(tmp_path / "data"))
    draw_installation(resources.folder.root)
    arrive(resources, "2.25.11", "2.25.12")
    dispatcher(resources, Workers(RESULT)).dispatch()
    ini = tmp_path / "node.ini"
    ini.write_text(INI.format(port=11112, pacs_port=104, quiet=1, more=""))
    open_resources(load(ini)).close()
    with resources.sessions.reading():
        yield resources
    resources.close()


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """Run a command; give its exit status, and the sentences it ended with."""
    (tmp_path / "out").mkdir()

    def run(*words: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["dicom-node", *words])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0), capsys.readouterr().err

    return run


WRITERS = {
    "certificates": "certificates OUT/certificates --host a",
    "phantom": "phantom OUT/phantom --slices 2 --lesions 0",
    "registry": "governance registry OUT/results.csv INI",
    "pack": "governance pack OUT/pack.zip INI",
    "feedback": "feedback INI --csv OUT/cases.csv",
    "export": f"export OUT/export --series {SERIES} INI",
}


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_full_disk_is_named_and_nothing_is_left(
    name: str, node: Resources, tmp_path: Path, call: Callable[..., Ended]
) -> None:
    text = WRITERS[name].replace("OUT", str(tmp_path / "out"))

    with room_for(LIMIT):
        status, said = call(*text.replace("INI", f"--config {tmp_path / 'node.ini'}").split())

    assert status == ExitStatus.FAULT
    assert said.startswith(f"error: File too large: {tmp_path / 'out'}/"), said
    assert said.count("\n") == 1
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", ["registry", "feedback"])
def test_a_file_in_a_folder_that_is_none_is_named(
    name: str, node: Resources, tmp_path: Path, call: Callable[..., Ended]
) -> None:
    (tmp_path / "file").touch()
    text = WRITERS[name].replace("OUT", str(tmp_path / "file"))

    status, said = call(*text.replace("INI", f"--config {tmp_path / 'node.ini'}").split())

    assert status == ExitStatus.FAULT
    assert said.startswith(f"error: Not a directory: {tmp_path / 'file'}/"), said
    assert "/." not in said


def test_a_certificate_is_renewed_with_its_key_or_not_at_all(
    tmp_path: Path, call: Callable[..., Ended]
) -> None:
    folder = tmp_path / "out" / "certificates"
    provide(folder, ["a"], NOW, days=1)  # of long ago: it is to be renewed
    before = {path: path.read_bytes() for path in folder.iterdir()}

    with room_for((folder / "a.key").stat().st_size + 1):  # the key finds room, the rest does not
        status, _ = call("certificates", str(folder))

    assert status == ExitStatus.FAULT
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_standard_output_on_a_full_disk_is_named() -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "dicom_node", "example"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert ended.returncode == ExitStatus.LATER
    assert ended.stderr == "error: No space left on device: standard output\n"


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (errno.ENOSPC, ExitStatus.LATER),
        (errno.EDQUOT, ExitStatus.LATER),
        (errno.EROFS, ExitStatus.LATER),
        (errno.EACCES, ExitStatus.FAULT),
        (errno.EISDIR, ExitStatus.FAULT),
    ],
)
def test_what_may_pass_ends_with_another_status_than_what_does_not(
    number: int, status: ExitStatus
) -> None:
    assert status_of(OSError(number, "", "file")) == status
