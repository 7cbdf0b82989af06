"""Objects in a bucket of an S3 service: put whole, checked when they are fetched, never changed.

Each put of a path makes an object of its own, ``path/version`` with a version drawn at random. So
what is put again is another object than the one that somebody is about to remove, however late
that removal comes; and nobody has to ask whether a path is there before he puts it.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from storage.errors import ObjectDamaged, ObjectsAway
from storage.files.objects_address import ObjectsAddress

if TYPE_CHECKING:
    from obstore.store import S3Config

CONNECT_SECONDS = 3  #: longest wait for a connection
ANSWER_SECONDS = 30  #: of one request, its body included
RETRY_SECONDS = 6.0  #: after which a request that failed is not begun again
MOST_RETRIES = 2
PAGE = 1000  #: keys of one answer; S3 gives no more
CHUNK_BYTES = 1 << 20  #: of a file that is fetched, in memory at a time
MOST_TOLD = 160  #: characters of what a service says is wrong
DIGEST = "sha256"  #: name of the metadata in which an object's digest is kept
VERSION = re.compile(r"[0-9a-f]{32}")
PROBE = "probe"  #: path of what a check puts and removes again


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Version:
    """One object of a path, ordered by the time at which the service says it was put."""

    at: datetime
    key: str


class ObjectStore:
    """A bucket, or what begins with a prefix in one.

    Every method raises `ObjectsAway` if the service cannot be reached, or refuses.
    """

    def __init__(self, address: ObjectsAddress) -> None:
        self.address, self.url = address, address.url
        self._store = _opened(address)
        self.answered_at = float("-inf")  #: when the service last did what it was asked, monotonic

    def put(self, path: str, file: Path) -> None:
        """Put a file under a path; on return it is there as a whole, and stays."""
        with self._asked():
            obstore.put(
                self._store,
                f"{path}/{uuid.uuid4().hex}",
                file,
                attributes={DIGEST: digest_of(file)},
            )

    def put_once(self, key: str, content: bytes) -> bytes:
        """Put something small under a key of its own, unless it is there; return what is there."""
        with self._asked():
            with suppress(AlreadyExistsError):
                obstore.put(self._store, key, content, mode="create")
            return bytes(obstore.get(self._store, key).bytes())

    def read(self, key: str) -> bytes | None:
        """Read what `put_once` has put; None if there is nothing."""
        with self._asked():
            try:
                return bytes(obstore.get(self._store, key).bytes())
            except FileNotFoundError:
                return None

    def versions(self, path: str) -> list[Version]:
        """List the objects of a path, the earliest first; none if it is not there."""
        return sorted(version for found, version in self._listed(f"{path}/") if found == path)

    def paths(self, place: str) -> set[str]:
        """List the paths that begin with a folder, however deep."""
        return {path for path, _ in self._listed(f"{place}/")}

    def fetch(self, key: str, to: Path) -> bool:
        """Fetch an object into a new file, synchronised; False if it is not there any more.

        Raises
        ------
        ObjectDamaged
            If its bytes are not those that were put. The file is not to be used then.
        OSError
            If the file cannot be written.
        """
        with self._asked():
            try:
                found = obstore.get(self._store, key)
            except FileNotFoundError:
                return False
            digest = hashlib.sha256()
            with to.open("xb") as file:
                for chunk in found.stream(min_chunk_size=CHUNK_BYTES):
                    digest.update(chunk)
                    file.write(chunk)
                size = file.tell()
                file.flush()
                os.fsync(file.fileno())
            wanted = _metadata(found.attributes).get(DIGEST, "")
        if size != found.meta["size"] or digest.hexdigest() != wanted:
            raise ObjectDamaged(
                f"{self.url}: expected {found.meta['size']} bytes of digest"
                f" {wanted or '(none is kept)'} under {key}, got {size} bytes of"
                f" {digest.hexdigest()}"
            )
        return True

    def remove(self, keys: Sequence[str]) -> None:
        """Remove objects; those that are not there are no fault."""
        if keys:
            with self._asked():
                obstore.delete(self._store, list(keys))

    def try_out(self) -> None:
        """Do once all that is asked of the service, and leave nothing behind.

        Raises
        ------
        ObjectsAway
            If it cannot do it; the message says what.
        """
        key, content = f"{PROBE}/{uuid.uuid4().hex}", uuid.uuid4().bytes
        try:
            if self.put_once(key, content) != content:
                raise ObjectsAway(
                    f"{self.url}: expected to read what was just put, got other bytes"
                )
            if self.put_once(key, b"") != content:
                raise ObjectsAway(
                    f"{self.url}: expected a service that refuses to put a key that is there"
                    " (If-None-Match), this one replaces it"
                )
            if key not in {version.key for version in self.versions(PROBE)}:
                raise ObjectsAway(f"{self.url}: expected what was just put in the list, it is not")
        finally:
            self.remove([key])
        if self.read(key) is not None:
            raise ObjectsAway(f"{self.url}: expected to remove what was put, it is still there")

    def _listed(self, prefix: str) -> Iterator[tuple[str, Version]]:
        """Yield path and version of the objects whose keys begin so; what is not ours is left."""
        with self._asked():
            for page in obstore.list(self._store, prefix, chunk_size=PAGE):
                for meta in page:
                    path, _, version = meta["path"].rpartition("/")
                    if VERSION.fullmatch(version):
                        yield path, Version(at=meta["last_modified"], key=meta["path"])

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Say of what the service does not do that it is away; note that it did what it did."""
        try:
            yield
        except (BaseError, FileNotFoundError) as fault:  # the latter: there is no such bucket
            raise ObjectsAway(f"{self.url}: {_told(fault)}") from fault
        self.answered_at = time.monotonic()


def _opened(address: ObjectsAddress) -> S3Store:
    """Open the bucket; nothing is asked of it yet.

    Raises
    ------
    ObjectsAway
        If the address is none.
    """
    config: S3Config = {}
    if address.endpoint:
        config["endpoint"] = address.endpoint
    if address.region:
        config["region"] = address.region
    if address.key_id:
        config["access_key_id"], config["secret_access_key"] = address.key_id, address.key
    try:
        return S3Store.from_url(
            address.url,
            config=config,
            client_options={
                "allow_http": address.endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
                "timeout": timedelta(seconds=ANSWER_SECONDS),
            },
            retry_config={
                "max_retries": MOST_RETRIES,
                "retry_timeout": timedelta(seconds=RETRY_SECONDS),
            },
        )
    except (BaseError, ValueError) as fault:
        raise ObjectsAway(f"{address.url}: {_told(fault)}") from fault


def digest_of(file: Path) -> str:
    """Compute the SHA-256 of a file, hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _metadata(attributes: Iterable[tuple[Any, Any]] | dict[Any, Any]) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in dict(attributes).items()}


def _told(fault: Exception) -> str:
    """Say in one line what a service, or the way to it, says is wrong."""
    text = " ".join(str(fault).split())
    return f"{type(fault).__name__}: {text[:MOST_TOLD]}"
