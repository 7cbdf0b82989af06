"""Kept files are whole and on the disk; interrupted ones leave nothing behind."""

import hashlib
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from storage.errors import StorageFull, StorageUnwritable
from storage.files.folder import KeptFile, StorageFolder
from storage.files.folder_fault import folder_fault
from storage.files.installation import draw_installation
from tests.support.reception import kept_files

STEPS = ["written", "synced", "renamed", "directory-synced"]


def snapshot_at(wanted: str, folder: Path, copy: Path) -> Callable[[str], None]:
    """What a killed process would leave behind: the folder as it is at that step."""

    def step(name: str) -> None:
        if name == wanted and not copy.exists():
            shutil.copytree(folder, copy)

    return step


def contents(folder: StorageFolder) -> dict[str, bytes]:
    return {kept.path: folder.locate(kept.path).read_bytes() for kept in kept_files(folder)}


def everything(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def folder(tmp_path: Path) -> StorageFolder:
    return StorageFolder(tmp_path, 0)


def test_chunks_are_joined_and_known_by_their_hash(folder: StorageFolder) -> None:
    kept = folder.keep([b"ab", memoryview(b"cd"), b""], name_from="1.2.3")

    assert (kept.bytes, kept.digest) == (4, hashlib.sha256(b"abcd").hexdigest())
    assert folder.locate(kept.path).read_bytes() == b"abcd"
    assert kept_files(folder) == [kept]


def test_header_is_kept_but_does_not_make_another_instance(folder: StorageFolder) -> None:
    first = folder.keep([b"body"], name_from="1.2.3", header=b"from CT1 ")
    second = folder.keep([b"body"], name_from="1.2.3", header=b"from ROUTER ")

    assert (first.path, first.digest) == (second.path, second.digest)
    assert contents(folder) == {second.path: b"from ROUTER body"}
    assert kept_files(folder) == [second]


def test_same_instance_again_is_kept_once_other_bytes_beside_it(folder: StorageFolder) -> None:
    first = folder.keep([b"one"], name_from="1.2.3")
    again = folder.keep([b"o", b"ne"], name_from="1.2.3")
    other = folder.keep([b"two"], name_from="1.2.3")

    assert again == first
    assert contents(folder) == {first.path: b"one", other.path: b"two"}


@pytest.mark.parametrize("name", ["../../etc/passwd", "/absolute", "a/b", "", "\0", "ü" * 300])
def test_names_from_the_network_never_become_names_of_files(
    folder: StorageFolder, name: str
) -> None:
    kept = folder.keep([b"x"], name_from=name)

    assert everything(folder.root) == [folder.locate(kept.path)]
    assert set(kept.path.removeprefix("incoming/").removesuffix(".dcm")) <= set(
        "0123456789abcdef-/"
    )


def test_long_chunks_of_other_formats_count_as_bytes(folder: StorageFolder) -> None:
    numbers = memoryview(bytes(80)).cast("d")
    assert folder.keep([numbers], name_from="1").bytes == 80


@pytest.mark.parametrize("step", STEPS)
def test_crash_at_any_step_loses_nothing_acknowledged_and_shows_nothing_partial(
    tmp_path: Path, step: str
) -> None:
    alive, dead = tmp_path / "alive", tmp_path / "dead"
    folder = StorageFolder(alive, 0, step=snapshot_at(step, alive, dead))
    StorageFolder(alive, 0).keep([b"before"], name_from="1.2.3")
    folder.keep([b"la", b"te"], name_from="1.2.4")

    named = step in {"renamed", "directory-synced"}
    assert len(list((dead / "tmp").iterdir())) == (not named)
    found = sorted(contents(StorageFolder(dead, 0)).values())
    assert found == ([b"before", b"late"] if named else [b"before"])
    assert len(everything(dead)) == len(found)


def test_file_is_synchronised_before_it_has_its_name_and_the_name_before_keep_returns(
    tmp_path: Path,
) -> None:
    seen: list[tuple[str, bool]] = []

    def look(name: str) -> None:
        seen.append((name, bool(list(tmp_path.glob("incoming/*/*.dcm")))))

    StorageFolder(tmp_path, 0, step=look).keep([b"x"], name_from="1")
    assert seen == [
        ("written", False),
        ("synced", False),
        ("renamed", True),
        ("directory-synced", True),
    ]


def test_what_a_power_cut_left_behind_is_removed_by_the_scan(folder: StorageFolder) -> None:
    (folder.root / "tmp" / "file").write_bytes(b"half")
    (folder.root / "tmp" / "folder").mkdir()
    (folder.root / "tmp" / "folder" / "file").write_bytes(b"half")

    assert kept_files(folder) == []
    assert list((folder.root / "tmp").iterdir()) == []


def test_reserve_is_not_touched(tmp_path: Path) -> None:
    folder = StorageFolder(tmp_path, 2**62)
    with pytest.raises(StorageFull, match="bytes free above the reserve, got -"):
        folder.keep([b"x"], name_from="1")
    with pytest.raises(StorageFull):
        folder.keep_result("key", {"sr.dcm": b"x"})
    assert everything(tmp_path) == []


def test_the_free_space_is_measured_before_every_further_megabyte(tmp_path: Path) -> None:
    measured: list[int] = []

    def measure(_: Path) -> int:
        measured.append(1)
        return 1 << 40

    StorageFolder(tmp_path, 0, free=measure).keep([bytes(1 << 18)] * 12, name_from="1")
    assert len(measured) == 3  # of three megabytes


def test_reserve_reached_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    room = 105

    def chunks() -> Iterator[bytes]:
        nonlocal room
        yield b"first"
        room -= 5
        yield b"second"

    with pytest.raises(StorageFull, match="expected 6 bytes free above the reserve, got 0"):
        StorageFolder(tmp_path, 100, free=lambda _: room).keep(chunks(), name_from="1")
    assert everything(tmp_path) == []


@pytest.mark.parametrize(
    ("free", "instance", "result"),
    [(104, True, True), (103, False, True), (29, False, True), (28, False, False)],
)
def test_results_may_use_what_instances_must_leave(
    tmp_path: Path, free: int, instance: bool, result: bool
) -> None:
    """Of a reserve of 100 bytes three quarters, with files of 4 bytes."""
    folder = StorageFolder(tmp_path, 100, free=lambda _: free)

    def fits(keep: Callable[[], object]) -> bool:
        try:
            keep()
        except StorageFull:
            return False
        return True

    assert fits(lambda: folder.keep([b"four"], name_from="1")) is instance
    assert fits(lambda: folder.keep_result("key", {"sr.dcm": b"fo", "seg.dcm": b"ur"})) is result


def test_full_disk_is_inbox_full_and_leaves_nothing(tmp_path: Path) -> None:
    def full(name: str) -> None:
        if name == "written":
            Path("/dev/full").write_bytes(b"x")  # the system's own ENOSPC

    with pytest.raises(StorageFull, match="No space left"):
        StorageFolder(tmp_path, 0, step=full).keep([b"x"], name_from="1")
    assert everything(tmp_path) == []


def test_fault_of_the_sender_passes_through_and_leaves_nothing(folder: StorageFolder) -> None:
    def broken() -> Iterator[bytes]:
        yield b"first"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        folder.keep(broken(), name_from="1")
    assert everything(folder.root) == []


def test_many_threads_keep_the_same_and_different_instances(folder: StorageFolder) -> None:
    kept: list[KeptFile] = []

    def keep_all() -> None:
        kept.extend(folder.keep([bytes([number])], name_from=str(number)) for number in range(20))

    threads = [threading.Thread(target=keep_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(kept) == 80
    assert sorted(contents(folder).values()) == [bytes([number]) for number in range(20)]


def test_quarantine_moves_the_file_out_of_the_scan(folder: StorageFolder) -> None:
    kept = folder.keep([b"not dicom"], name_from="1")

    moved = folder.quarantine(kept.path)

    assert folder.locate(moved).read_bytes() == b"not dicom"
    assert moved.startswith("quarantine/")
    assert kept_files(folder) == []


def test_result_folder_holds_every_file(folder: StorageFolder) -> None:
    path = folder.keep_result("key", {"seg.dcm": b"seg", "sr.dcm": b"sr"})

    files = {file.name: file.read_bytes() for file in folder.locate(path).iterdir()}
    assert files == {"seg.dcm": b"seg", "sr.dcm": b"sr"}


def test_result_folder_that_may_have_been_sent_is_never_replaced(folder: StorageFolder) -> None:
    folder.keep_result("key", {"sr.dcm": b"sent"})
    path = folder.keep_result("key", {"sr.dcm": b"new", "seg.dcm": b"new"})

    assert [file.name for file in folder.locate(path).iterdir()] == ["sr.dcm"]
    assert (folder.locate(path) / "sr.dcm").read_bytes() == b"sent"
    assert list((folder.root / "tmp").iterdir()) == []


@pytest.mark.parametrize("step", STEPS)
def test_crash_at_any_step_leaves_a_whole_result_folder_or_none(tmp_path: Path, step: str) -> None:
    alive, dead = tmp_path / "alive", tmp_path / "dead"
    StorageFolder(alive, 0, step=snapshot_at(step, alive, dead)).keep_result(
        "key", {"a": b"a", "b": b"b"}
    )

    assert dead.exists(), "the step was never told"
    assert kept_files(StorageFolder(dead, 0)) == []
    named = step in {"renamed", "directory-synced"}
    assert sorted(path.name for path in everything(dead)) == (["a", "b"] if named else [])


@pytest.mark.parametrize(("name", "file"), [("../key", "a"), ("key", "../a"), ("", "a")])
def test_names_that_lead_out_of_a_result_folder_are_refused(
    folder: StorageFolder, name: str, file: str
) -> None:
    with pytest.raises(ValueError, match="expected letters"):
        folder.keep_result(name, {file: b"x"})
    assert everything(folder.root) == []


def test_folder_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StorageUnwritable, match="data"):
        StorageFolder(tmp_path / "data", 0)


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "incoming").symlink_to(tmp_path / "unmounted")

    with pytest.raises(StorageUnwritable, match=r"incoming is a link to something that is away"):
        StorageFolder(tmp_path, 0)


@pytest.mark.parametrize("name", ["incoming", "results", "quarantine"])
def test_a_part_on_another_file_system_is_told_of(tmp_path: Path, name: str) -> None:
    """A file could not be renamed into its place: each instance would be refused, for ever."""
    here = tmp_path.stat().st_dev
    others = (Path(place) for place in ("/dev/shm", "/tmp", "/var/tmp"))  # noqa: S108  # any other
    other = next((place for place in others if place.stat().st_dev != here), None)
    if other is None:
        pytest.skip("needs a second file system")
    folder = StorageFolder(tmp_path, 0)
    folder.require_one_file_system()
    draw_installation(tmp_path)
    assert folder_fault(tmp_path) == ""
    with TemporaryDirectory(dir=other) as elsewhere:
        shutil.move(tmp_path / name, elsewhere)
        (tmp_path / name).symlink_to(Path(elsewhere) / name)

        assert "not on one file system" in folder_fault(tmp_path)
        with pytest.raises(StorageUnwritable, match=rf"{name} cannot take files"):
            StorageFolder(tmp_path, 0).require_one_file_system()
    assert not list((tmp_path / "tmp").iterdir())


def test_descriptors_are_given_back(folder: StorageFolder) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(10):
        folder.keep([b"x"], name_from=str(number))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
