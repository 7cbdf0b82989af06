"""Durability: contents, names and directories are on the disk, in that order, before the answer."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.atomic_write import write_whole
from storage.files.folder import StorageFolder
from storage.files.identity_key import IDENTITY_KEY, draw_identity_key
from storage.files.installation import draw_installation, installation_of
from tests.support.power_cut import PowerCut

LATER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> StorageFolder:
    """A folder with an instance, a quarantined one and a result; all on the disk."""
    folder = StorageFolder(tmp_path, 0)
    folder.quarantine(folder.keep([b"no instance"], name_from="0").path)
    folder.keep([b"header ", b"before"], name_from="1")
    folder.keep_result("before", {"old.dcm": b"old", "sr.dcm": b"old report"})
    return folder


@pytest.fixture
def cut(folder: StorageFolder) -> Iterator[PowerCut]:
    with PowerCut(folder.root).watching() as watched:
        yield watched


def test_a_kept_instance_survives(folder: StorageFolder, cut: PowerCut) -> None:
    kept = folder.keep([b"bo", b"dy"], name_from="2", header=b"header ")

    assert cut.left()[kept.path] == b"header body"
    assert (cut.left(), cut.early) == (cut.now(), [])


def test_an_instance_kept_again_survives_with_its_latest_header(
    folder: StorageFolder, cut: PowerCut
) -> None:
    kept = folder.keep([b"before"], name_from="1", header=b"from another ")

    assert cut.left()[kept.path] == b"from another before"
    assert (cut.left(), cut.early) == (cut.now(), [])


def test_a_kept_result_survives(folder: StorageFolder, cut: PowerCut) -> None:
    folder.keep_result("new", {"seg.dcm": b"masks", "sr.dcm": b"report"})

    assert cut.left()["results/new/sr.dcm"] == b"report"
    assert (cut.left(), cut.early) == (cut.now(), [])


def test_a_result_whose_maker_was_killed_before_its_name_was_on_the_disk_survives(
    folder: StorageFolder, cut: PowerCut
) -> None:
    class Killed(Exception):
        """What the hook raises."""

    def killed(step: str) -> None:
        if step == "renamed":
            raise Killed

    with pytest.raises(Killed):
        StorageFolder(folder.root, 0, step=killed).keep_result("new", {"sr.dcm": b"report"})

    folder.keep_result("new", {"sr.dcm": b"report"})

    assert cut.left()["results/new/sr.dcm"] == b"report"


def test_what_is_moved_to_quarantine_and_back_is_always_somewhere(
    folder: StorageFolder, cut: PowerCut
) -> None:
    kept = next(path for path in cut.now() if path.startswith("incoming/"))

    moved = folder.quarantine(kept)
    assert cut.left() == cut.now()
    folder.release(moved)

    assert cut.left() == cut.now()
    name = Path(kept).name
    assert all(any(Path(path).name == name for path in moment) for moment in cut.moments)


def test_what_is_discarded_does_not_come_back(folder: StorageFolder, cut: PowerCut) -> None:
    kept = next(path for path in cut.now() if path.startswith("incoming/"))
    quarantined = next(path for path in cut.now() if path.startswith("quarantine/"))

    folder.discard([kept, quarantined, "results/before"], before=LATER)

    assert cut.left() == cut.now() == {}


def test_the_folder_itself_survives_its_first_start(tmp_path: Path) -> None:
    with PowerCut(tmp_path).watching() as cut:
        folder = StorageFolder(tmp_path / "node" / "data", 0)
        kept = folder.keep([b"first"], name_from="1")
    assert cut.left() == {f"node/data/{kept.path}": b"first"}


def test_the_identity_of_the_installation_survives(folder: StorageFolder, cut: PowerCut) -> None:
    draw_installation(folder.root)

    drawn = installation_of(folder.root)
    draw_installation(folder.root)  # a second start
    assert uuid.UUID(drawn).version == 4
    assert cut.left()["station"].decode().strip() == installation_of(folder.root) == drawn
    assert (cut.left(), cut.early) == (cut.now(), [])


def test_the_identity_key_survives_before_anything_is_keyed_with_it(
    folder: StorageFolder, cut: PowerCut
) -> None:
    drawn = draw_identity_key(folder.root)
    assert cut.left()[IDENTITY_KEY].decode() == f"{drawn.secret.hex()}\n"
    assert (cut.left(), cut.early) == (cut.now(), [])


def test_a_file_written_whole_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    (tmp_path / "table").write_bytes(b"old")
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    with PowerCut(tmp_path).watching() as cut:
        write_whole(tmp_path / "table", b"new")
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before
    assert cut.early == []
    assert (tmp_path / "table").read_bytes() == b"new"
    assert cut.left()["table"] == b"new"
