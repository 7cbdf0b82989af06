"""Folders of several receivers with copies of what is in one bucket."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import obstore
import pytest

from storage.errors import ObjectsAway, StorageError
from storage.files.folder import LATER, RESULTS
from storage.files.folder_fault import storage_fault
from storage.files.identity_key import read_identity_key
from storage.files.installation import installation_of
from storage.files.object_folder import UNUSED, ObjectFolder
from storage.files.object_store import DIGEST
from storage.files.objects_address import ObjectsAddress, object_store_at
from tests.support.node_process import free_port

MakeFolder = Callable[[str], ObjectFolder]
FUTURE = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def make(bucket: ObjectsAddress, tmp_path: Path) -> MakeFolder:
    """Make the folder of a receiver."""
    return lambda name: ObjectFolder(tmp_path / name, 0, object_store_at(bucket))


def kept(folder: ObjectFolder, content: bytes = b"pixels") -> str:
    path = folder.keep([content], name_from="1.2.3", header=b"header").path
    folder.publish(path)
    return path


def test_what_one_receiver_has_put_another_finds_whole(make: MakeFolder) -> None:
    first, second = make("a"), make("b")
    path = first.keep([b"pixels"], name_from="1.2.3", header=b"header").path
    assert second.absent([path]) == {path}
    assert not second.locate(path).exists()

    first.publish(path)
    assert second.absent([path]) == set()
    assert second.locate(path).read_bytes() == b"headerpixels"
    assert second.kept_file(path).bytes == len(b"headerpixels")
    assert second.paths_in("incoming/" + path.split("/")[1], ".dcm") == {path}
    assert not list((second.root / "tmp").iterdir())


def test_files_are_brought_before_they_are_located(make: MakeFolder) -> None:
    first, second = make("a"), make("b")
    path = kept(first)
    second.bring([path])
    assert (second.root / path).is_file()


def test_a_result_is_there_with_all_its_files_and_its_later_ones(make: MakeFolder) -> None:
    first, second = make("a"), make("b")
    path = first.keep_result("k1", {"1.dcm": b"one", "SHA256SUMS": b"sums"})
    assert second.locate(f"{path}/1.dcm").read_bytes() == b"one"
    assert (second.root / path / "SHA256SUMS").read_bytes() == b"sums"
    assert not second.locate(f"{path}/{LATER}").exists()

    first.keep_result("k1", {"2.dcm": b"two"}, part=LATER)
    assert second.absent([f"{path}/1.dcm", f"{path}/{LATER}/2.dcm"]) == set()
    third = make("c")
    assert third.locate(f"{path}/{LATER}/2.dcm").read_bytes() == b"two"
    assert third.locate(f"{path}/1.dcm").read_bytes() == b"one"
    assert third.paths_in(RESULTS) == {path}


def test_later_files_may_come_from_another_receiver(make: MakeFolder) -> None:
    first, second, third = make("a"), make("b"), make("c")
    path = first.keep_result("k1", {"1.dcm": b"one"})
    second.keep_result("k1", {"2.dcm": b"two"}, part=LATER)
    assert third.locate(f"{path}/{LATER}/2.dcm").read_bytes() == b"two"


def test_a_result_that_is_there_stays_as_it_is(make: MakeFolder) -> None:
    first, second, third = make("a"), make("b"), make("c")
    path = first.keep_result("k1", {"1.dcm": b"one"})
    second.keep_result("k1", {"1.dcm": b"other"})
    assert third.locate(f"{path}/1.dcm").read_bytes() == b"one"


def test_only_what_was_put_before_is_discarded(make: MakeFolder) -> None:
    first, second = make("a"), make("b")
    path, result = kept(first), first.keep_result("k1", {"1.dcm": b"one"})
    first.keep_result("k1", {"2.dcm": b"two"}, part=LATER)
    past = datetime.now(UTC) - timedelta(days=1)
    assert second.discard([path, result], before=past) == {}
    assert second.absent([path, f"{result}/1.dcm"]) == set()

    second.locate(path)
    assert second.discard([path, result], before=FUTURE) == {}
    assert second.absent([path, f"{result}/1.dcm", f"{result}/{LATER}/2.dcm"]) == {
        path,
        f"{result}/1.dcm",
        f"{result}/{LATER}/2.dcm",
    }
    assert not (second.root / path).exists()
    assert second.written_at(path) is None


def test_a_copy_goes_when_nobody_has_used_it_and_comes_again(make: MakeFolder) -> None:
    folder = make("a")
    path, result = kept(folder), folder.keep_result("k1", {"1.dcm": b"one"})
    now = datetime.now(UTC)
    assert folder.evict(now) == 0
    long_ago = (now - 2 * UNUSED).timestamp()
    for place in (path, result):
        os.utime(folder.root / place, (long_ago, long_ago))
    folder.locate(path)  # it is used now
    assert folder.evict(now) == 1
    assert (folder.root / path).exists()
    assert not (folder.root / result).exists()
    assert folder.locate(f"{result}/1.dcm").read_bytes() == b"one"
    assert folder.evict(now + 2 * UNUSED) == 2
    assert folder.locate(path).read_bytes() == b"headerpixels"


def test_other_bytes_than_were_put_count_as_missing_and_are_told(make: MakeFolder) -> None:
    folder = make("a")
    path = "incoming/00/a.dcm"
    key = f"{path}/{'0' * 32}"
    obstore.put(folder.store._store, key, b"pixelz", attributes={DIGEST: "of something else"})
    assert not folder.locate(path).exists()
    assert folder.damaged == {path}
    obstore.delete(folder.store._store, [key])
    (folder.root / path).write_bytes(b"pixels")
    folder.publish(path)
    (folder.root / path).unlink()
    assert folder.locate(path).read_bytes() == b"pixels"
    assert folder.damaged == set()


def test_quarantine_is_in_the_bucket_too(make: MakeFolder) -> None:
    first, second = make("a"), make("b")
    moved = first.quarantine(first.keep([b"rot"], name_from="1.2.3").path)
    assert (second.quarantined(), second.paths_in("quarantine")) == (1, {moved})
    released = second.release(moved)
    assert second.paths_in("quarantine") == set()
    assert first.locate(released).read_bytes() == b"rot"
    assert first.quarantine(released) == moved
    assert first.absent([released]) == {released}


def test_receivers_have_identity_and_key_in_common(make: MakeFolder) -> None:
    first, second = make("a"), make("b")
    assert not first.has_installation()
    for folder in (first, second, second):
        folder.join_installation()
    assert installation_of(first.root) == installation_of(second.root) != ""
    assert read_identity_key(first.root) == read_identity_key(second.root) is not None
    assert first.has_installation()
    assert storage_fault(first) == ""


def test_a_folder_and_a_bucket_of_two_installations_are_refused(
    make: MakeFolder, bucket: ObjectsAddress, tmp_path: Path
) -> None:
    folder = make("a")
    (folder.root / "station").write_text("another\n")
    with pytest.raises(StorageError, match="got one without"):
        folder.join_installation()
    make("b").join_installation()
    with pytest.raises(StorageError, match="got another's"):
        folder.join_installation()


def test_a_bucket_that_is_away_is_a_fault_of_the_storage_until_it_answers(
    make: MakeFolder, bucket: ObjectsAddress, tmp_path: Path
) -> None:
    there = make("a")
    there.join_installation()
    away = ObjectsAddress(
        url=bucket.url, endpoint=f"http://127.0.0.1:{free_port()}", key_id="a", key="b", region="x"
    )
    folder = ObjectFolder(there.root, 0, object_store_at(away))
    assert storage_fault(folder).startswith(bucket.url)
    with pytest.raises(ObjectsAway):
        folder.locate("incoming/00/a.dcm")
    path = folder.keep([b"pixels"], name_from="1.2.3").path
    with pytest.raises(ObjectsAway):
        folder.publish(path)
    assert folder.discard([path, "results/k1"], before=FUTURE)
    assert (folder.root / path).exists()
    assert storage_fault(there) == ""


def test_an_empty_bucket_is_a_fault_of_a_node_that_runs(make: MakeFolder) -> None:
    folder = make("a")
    (folder.root / "station").write_text("known\n")
    assert "is not the bucket that this node began with" in storage_fault(folder)
