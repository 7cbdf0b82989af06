"""A stream of files arrives whole, under names of the receiver, or not at all."""

import errno
import hashlib
import random
import resource
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from dicom_node.analysis.fetch.offer import OfferedFile
from dicom_node.analysis.fetch.stream import (
    BLOCK_BYTES,
    ENDED,
    MOST_BYTES,
    Message,
    messages_of,
    receive,
)
from dicom_node.errors import AlteredFile, NotFetched
from dicom_node.network.file_meta import read_meta
from pipeline.errors import UnsuitableSeries
from storage.files.sums import with_sums


def offered(folder: Path, *contents: bytes) -> list[OfferedFile]:
    """Files with the digests under which a node would keep them."""
    files = []
    for number, content in enumerate(contents):
        path = folder / f"of-the-node-{number}.dcm"
        path.write_bytes(content)
        files.append(OfferedFile(path=path, digest=hashlib.sha256(content).hexdigest()))
    return files


def received(messages: Sequence[Message], count: int, folder: Path) -> list[Path]:
    """Receive as a worker does whose node falls silent after the last message."""
    left: Iterator[Message] = iter(messages)

    def get() -> Message:
        for message in left:
            return message
        raise NotFetched("the node sent no file (TimeoutError)")

    return receive(get, count, folder)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "task-1"
    folder.mkdir()
    return folder


def test_files_arrive_as_they_were_under_names_of_their_own(tmp_path: Path, here: Path) -> None:
    noise = random.Random(5)
    contents = [noise.randbytes(size) for size in (BLOCK_BYTES + 7, 0, 3, 2 * BLOCK_BYTES, 11)]
    files = offered(tmp_path, *contents)

    messages = list(messages_of(files))
    paths = received(messages, len(files), here)

    assert [path.read_bytes() for path in paths] == contents
    assert {path.parent for path in paths} == {here}
    assert [path.name for path in paths] == [f"{number:06d}" for number in range(5)]
    assert max(len(message.get("block", b"")) for message in messages) <= BLOCK_BYTES
    assert not any(str(tmp_path) in repr(message)[:9999] for message in messages)


def test_a_file_that_is_not_the_kept_one_is_refused(tmp_path: Path, here: Path) -> None:
    files = offered(tmp_path, b"first", b"second")
    files[1].path.write_bytes(b"sEcond")
    with pytest.raises(AlteredFile, match="file 2 of 2 is not what the node keeps"):
        received(list(messages_of(files)), 2, here)


def test_of_an_instance_the_data_set_is_compared_and_its_last_sender_is_not(
    chest: Path, tmp_path: Path, here: Path
) -> None:
    instance = shutil.copy(next(chest.glob("*.dcm")), tmp_path / "instance.dcm")
    with instance.open("rb", buffering=0) as file:
        start = read_meta(file).end
    whole = instance.read_bytes()
    kept = OfferedFile(path=instance, digest=hashlib.sha256(whole[start:]).hexdigest())
    (path,) = received(list(messages_of([kept])), 1, here)
    assert path.read_bytes() == whole

    path.unlink()
    instance.write_bytes(whole[:-2] + b"\0\1")
    with pytest.raises(AlteredFile, match="file 1 of 1 is not what the node keeps"):
        received(list(messages_of([kept])), 1, here)


def test_what_is_altered_on_its_way_is_refused(tmp_path: Path, here: Path) -> None:
    lengths, block, digests = messages_of(offered(tmp_path, b"first"))
    with pytest.raises(AlteredFile, match="file 1 of 1 is not what the node sent"):
        received([lengths, {"block": b"f1rst"}, digests], 1, here)
    assert block == {"block": b"first"}


def test_a_kept_analysis_is_compared_with_the_digest_beside_it(tmp_path: Path, here: Path) -> None:
    for name, content in with_sums({"analysis.npz": b"as it was made"}).items():
        (tmp_path / name).write_bytes(content)
    kept = OfferedFile(path=tmp_path / "analysis.npz")
    (path,) = received(list(messages_of([kept])), 1, here)
    assert path.read_bytes() == b"as it was made"

    path.unlink()
    kept.path.write_bytes(b"as it is now !")
    with pytest.raises(AlteredFile):
        received(list(messages_of([kept])), 1, here)


def test_a_file_that_the_node_cannot_read_is_a_fault_as_where_it_is_seen(
    tmp_path: Path, here: Path
) -> None:
    files = offered(tmp_path, b"first", b"second")
    files[1].path.unlink()
    with pytest.raises(FileNotFoundError):
        received(list(messages_of(files)), 2, here)


def test_a_file_that_grows_shorter_meanwhile_is_a_fault(tmp_path: Path, here: Path) -> None:
    files = offered(tmp_path, b"first")
    messages = messages_of(files)
    lengths = next(messages)
    files[0].path.write_bytes(b"fi")
    with pytest.raises(OSError, match=r"\[Errno 5\]"):
        received([lengths, *messages], 1, here)


def test_a_series_that_is_too_large_is_neither_sent_nor_kept(tmp_path: Path, here: Path) -> None:
    (file,) = offered(tmp_path, b"")
    with file.path.open("r+b") as sparse:
        sparse.truncate(MOST_BYTES + 1)

    messages = list(messages_of([file]))

    assert messages == [{"lengths": [MOST_BYTES + 1]}]
    with pytest.raises(UnsuitableSeries, match=f"{MOST_BYTES} bytes at most"):
        received(messages, 1, here)
    assert list(here.iterdir()) == []


def test_a_full_disk_is_no_fault_of_the_series(tmp_path: Path, here: Path) -> None:
    files = offered(tmp_path, bytes(3 << 20))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(NotFetched, match=r"cannot be kept in .*: File too large"):
            received(list(messages_of(files)), 1, here)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"lengths": [5]}],
        [{"lengths": [5]}, {"block": b"fir"}],
        [{"lengths": [5]}, {"block": b"first"}],
        [{"lengths": [5, 5]}],
        [{"lengths": [-1]}],
        [{"lengths": ["5"]}],
        [{"lengths": "5"}],
        [{"block": b"first"}],
        [{"lengths": [5]}, {"block": "first"}],
        [{"lengths": [5]}, {"block": b"first and more"}, {"digests": []}],
        [{"lengths": [5]}, {"block": b"first"}, {"digests": ["x", "y"]}],
        [{"lengths": [5]}, {"block": b"first"}, {"digests": ["x"]}],
        [{"lengths": [5]}, {"block": b"first"}, {"digests": [["x"]]}],
        [ENDED],
    ],
)
def test_what_is_no_whole_stream_is_not_received(messages: list[Message], here: Path) -> None:
    with pytest.raises(NotFetched):
        received(messages, 1, here)


def test_a_fault_of_the_sender_is_told_by_its_number_alone(tmp_path: Path) -> None:
    missing = OfferedFile(path=tmp_path / "missing")
    assert list(messages_of([missing])) == [{"fault": errno.ENOENT}]
