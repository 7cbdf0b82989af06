"""Objects of a bucket: whole or not there, never in place of another, checked when fetched."""

from __future__ import annotations

import socket
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import obstore
import pytest

from storage.errors import ObjectDamaged, ObjectsAway
from storage.files.object_store import DIGEST, ObjectStore
from storage.files.objects_address import ObjectsAddress, object_store_at
from tests.support.node_process import free_port
from tests.support.servers.s3_server import KEY

PATH = "incoming/00/a.dcm"


@pytest.fixture
def store(bucket: ObjectsAddress) -> ObjectStore:
    return object_store_at(bucket)


def written(folder: Path, content: bytes) -> Path:
    file = folder / "written"
    file.write_bytes(content)
    return file


def test_what_is_put_again_is_another_object_which_a_late_removal_leaves(
    store: ObjectStore, tmp_path: Path
) -> None:
    file = written(tmp_path, b"pixels")
    store.put(PATH, file)
    old = store.versions(PATH)
    store.put(PATH, file)
    store.remove([version.key for version in old])
    (left,) = store.versions(PATH)
    assert left not in old
    assert store.fetch(left.key, tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == b"pixels"
    assert store.paths("incoming") == {PATH}


def test_an_upload_that_breaks_off_leaves_nothing(store: ObjectStore) -> None:
    key = f"{PATH}/{'0' * 32}"
    url = urlsplit(obstore.sign(store._store, "PUT", key, timedelta(minutes=1)))
    head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: 1000"
    with socket.create_connection((str(url.hostname), url.port or 0)) as link:
        link.sendall(f"{head}\r\n\r\n".encode() + b"half")
        link.shutdown(socket.SHUT_WR)
        link.recv(1000)  # until the service has given it up
    assert store.versions(PATH) == []


def test_other_bytes_than_were_put_are_refused(store: ObjectStore, tmp_path: Path) -> None:
    key = f"{PATH}/{'0' * 32}"
    obstore.put(store._store, key, b"pixelz", attributes={DIGEST: "of something else"})
    with pytest.raises(ObjectDamaged, match="of something else"):
        store.fetch(key, tmp_path / "fetched")
    obstore.put(store._store, key, b"pixels")
    with pytest.raises(ObjectDamaged, match="none is kept"):
        store.fetch(key, tmp_path / "again")


def test_what_is_not_there_is_no_fault(store: ObjectStore, tmp_path: Path) -> None:
    assert not store.fetch(f"{PATH}/{'0' * 32}", tmp_path / "fetched")
    assert store.read("station") is None
    assert store.versions(PATH) == []
    store.remove([f"{PATH}/{'0' * 32}"])


def test_what_is_put_once_stays_as_it_is(store: ObjectStore) -> None:
    assert store.put_once("station", b"first") == b"first"
    assert store.put_once("station", b"second") == b"first"
    assert store.read("station") == b"first"


def test_what_others_put_beside_ours_is_left_alone(store: ObjectStore) -> None:
    obstore.put(store._store, f"{PATH}/notes.txt", b"")
    assert store.paths("incoming") == set()


def test_a_bucket_that_is_not_there_is_no_empty_one(bucket: ObjectsAddress) -> None:
    store = object_store_at(replace(bucket, url="s3://another-bucket/node"))
    with pytest.raises(ObjectsAway, match="s3://another-bucket/node: "):
        store.versions(PATH)


def test_a_check_leaves_nothing(store: ObjectStore) -> None:
    store.try_out()
    assert [meta for page in obstore.list(store._store) for meta in page] == []


def test_a_service_that_is_away_is_told_without_its_key(tmp_path: Path) -> None:
    address = ObjectsAddress(
        url="s3://tests/node",
        endpoint=f"http://127.0.0.1:{free_port()}",
        region="us-east-1",
        key_id="id",
        key=KEY,
    )
    store = object_store_at(address)
    for act in (
        lambda: store.put(PATH, written(tmp_path, b"pixels")),
        lambda: store.versions(PATH),
        lambda: store.fetch(f"{PATH}/{'0' * 32}", tmp_path / "fetched"),
        store.try_out,
    ):
        with pytest.raises(ObjectsAway, match="s3://tests/node: ") as raised:
            act()
        assert KEY not in str(raised.value)
    assert KEY not in repr(address)
