"""Send files as a stream of messages, and receive them under names of our own, checked.

A stream is the lengths of the files, their bytes in blocks that know nothing of the files, and
their digests; a fault of the sender ends it. No name and no path is in it.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from dicom_node.analysis.fetch.offer import OfferedFile
from dicom_node.analysis.worker.source_files import SERIES_BYTES
from dicom_node.errors import AlteredFile, NotFetched
from dicom_node.network.file_meta import is_kept_as
from pipeline.errors import UnsuitableSeries
from pipeline.reasons import UnsuitableReason
from storage.files.sums import read_sums

Message = dict[str, Any]
"""``lengths`` (bytes of each file), ``block`` (some of the bytes of all), ``digests`` (of each file
the SHA-256 of what was read, and the one that is kept of it, or ""), ``fault`` (`errno` of the
sender), or ``ended`` (the sender knows of no such task)."""

ENDED: Message = {"ended": True}

BLOCK_BYTES = 4 << 20  #: of one message; several are on their way at a time
MOST_BYTES = SERIES_BYTES  #: of all files of a stream; no series that is longer is analysed


def messages_of(files: Sequence[OfferedFile]) -> Iterator[Message]:
    """Read files and make the stream of them; of too many bytes their lengths alone."""
    try:
        lengths = [file.path.stat().st_size for file in files]
        yield {"lengths": lengths}
        if sum(lengths) <= MOST_BYTES:
            digests = yield from _blocks(files, lengths)
            yield {"digests": digests}
    except OSError as fault:
        yield {"fault": fault.errno or errno.EIO}


def _blocks(
    files: Sequence[OfferedFile], lengths: Sequence[int]
) -> Generator[Message, None, list[list[str]]]:
    """Give the bytes of files in blocks; return their digests, read and kept."""
    digests, block = [], bytearray()
    for offered, length in zip(files, lengths, strict=True):
        read, left = hashlib.sha256(), length
        with offered.path.open("rb") as file:
            while left:
                part = file.read(min(left, BLOCK_BYTES - len(block)))
                if not part:
                    raise OSError(errno.EIO, "the file has become shorter")
                left -= len(part)
                read.update(part)
                block += part
                if len(block) == BLOCK_BYTES:
                    yield {"block": bytes(block)}
                    block.clear()
        digests.append([read.hexdigest(), _digest_kept(offered)])
    if block:
        yield {"block": bytes(block)}
    return digests


def _digest_kept(file: OfferedFile) -> str:
    """Give the digest under which a file is kept: an instance in its row, others beside them."""
    return file.digest or read_sums(file.path.parent).get(file.path.name, "")


class _OfTheNode(Exception):  # no error of ours: what the sender says of its own
    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def receive(get: Callable[[], Message], count: int, folder: Path) -> list[Path]:
    """Receive a stream into a folder; files are named by their numbers.

    Parameters
    ----------
    get
        Gives the next message; raises `NotFetched`.
    count
        Files expected.

    Raises
    ------
    AlteredFile
        If a file is not the one that the node keeps.
    NotFetched
        If the stream is none, or there is no room for it.
    UnsuitableSeries
        ``too-large``.
    OSError
        If the node cannot read a file.
    """
    try:
        return _receive(get, count, folder)
    except OSError as fault:
        why = fault.strerror or type(fault).__name__
        raise NotFetched(f"what it fetches cannot be kept in {folder.parent}: {why}") from fault
    except _OfTheNode as told:  # as where the storage folder is seen
        raise OSError(told.number, os.strerror(told.number)) from None


def _receive(get: Callable[[], Message], count: int, folder: Path) -> list[Path]:
    lengths = _listed(get(), "lengths", count)
    if not all(isinstance(length, int) and length >= 0 for length in lengths):
        raise NotFetched("lengths of files expected, got something else")
    total = sum(lengths)
    if total > MOST_BYTES:
        raise UnsuitableSeries(
            UnsuitableReason.TOO_LARGE,
            f"files of {MOST_BYTES} bytes at most together expected, got {total}",
        )
    paths = [folder / f"{number:06d}" for number in range(count)]
    received = _Bytes(get)
    digests = [_write(path, length, received) for path, length in zip(paths, lengths, strict=True)]
    expected = _listed(get(), "digests", count)
    for number, path in enumerate(paths):
        _check(path, digests[number], expected[number], f"file {number + 1} of {count}")
    return paths


def _check(path: Path, got: str, expected: object, name: str) -> None:
    """Compare a file with what was sent, and what was sent with what the node keeps."""
    match expected:
        case [str(sent), str(kept)]:
            pass
        case _:
            raise NotFetched("two digests of each file expected, got something else")
    if got != sent:
        raise AlteredFile(f"{name} is not what the node sent: SHA-256 {sent} expected, got {got}")
    if kept and kept != sent and not is_kept_as(path, kept):
        raise AlteredFile(
            f"{name} is not what the node keeps: SHA-256 {kept} expected, got another; see"
            " dicom-node doctor --contents"
        )


def _listed(message: Message, name: str, count: int) -> list[Any]:
    listed = _checked(message).get(name)
    if not isinstance(listed, list | tuple) or len(listed) != count:
        raise NotFetched(f"the {name} of {count} file(s) expected, got something else")
    return list(listed)


def _checked(message: Message) -> Message:
    """Give a message, unless it is a fault of the sender."""
    if message == ENDED:
        raise NotFetched("the node has ended this task")
    number = message.get("fault")
    if isinstance(number, int):
        raise _OfTheNode(number)
    return message


class _Bytes:
    """The bytes of a stream, as they come."""

    def __init__(self, get: Callable[[], Message]) -> None:
        self._get = get
        self._block = memoryview(b"")

    def take(self, most: int) -> memoryview:
        """Take at least one byte, and no more than so many."""
        while not len(self._block):
            block = _checked(self._get()).get("block")
            if not isinstance(block, bytes):
                raise NotFetched("bytes of the files expected, got something else")
            self._block = memoryview(block)
        part, self._block = self._block[:most], self._block[most:]
        return part


def _write(path: Path, length: int, received: _Bytes) -> str:
    """Write a file; give its SHA-256."""
    digest = hashlib.sha256()
    with path.open("xb") as file:
        while length:
            part = received.take(length)
            digest.update(part)
            file.write(part)
            length -= len(part)
    return digest.hexdigest()
