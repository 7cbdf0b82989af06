"""Certificates of an engine: made once, renewed in time, good for TLS on both sides."""

import socket
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from dicom_node.errors import NodeError
from dicom_node.maintenance.certificates import AUTHORITY_DAYS, provide
from dicom_node.network.tls import RENEWAL_TIME

NOW = datetime.now(UTC).replace(microsecond=0)


def context(folder: Path, host: str, purpose: ssl.Purpose) -> ssl.SSLContext:
    made = ssl.create_default_context(purpose, cafile=str(folder / "authority.pem"))
    made.load_cert_chain(folder / f"{host}.pem", folder / f"{host}.key")
    made.verify_mode = ssl.CERT_REQUIRED
    return made


def test_two_hosts_can_speak_to_each_other(tmp_path: Path) -> None:
    provide(tmp_path, ["gpu1.example.org", "192.0.2.7"], NOW)
    here, there = socket.socketpair()
    server = context(tmp_path, "gpu1.example.org", ssl.Purpose.CLIENT_AUTH)
    client = context(tmp_path, "192.0.2.7", ssl.Purpose.SERVER_AUTH)

    def answer() -> None:
        with server.wrap_socket(there, server_side=True) as secured:
            secured.sendall(b"yes")

    thread = threading.Thread(target=answer)
    thread.start()
    with client.wrap_socket(here, server_hostname="gpu1.example.org") as secured:
        assert secured.recv(3) == b"yes"
    thread.join(20)


def test_a_certificate_is_for_its_host_alone(tmp_path: Path) -> None:
    provide(tmp_path, ["gpu1", "::1", "192.0.2.7"], NOW)

    def names(host: str) -> list[str]:
        found = x509.load_pem_x509_certificate((tmp_path / f"{host}.pem").read_bytes())
        of = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return [str(one.value) for one in of]

    assert names("gpu1") == ["gpu1", "localhost", "127.0.0.1"]
    assert names("192.0.2.7") == ["192.0.2.7", "localhost", "127.0.0.1"]
    assert names("--1") == ["localhost", "127.0.0.1"]


def test_keys_are_ours_alone(tmp_path: Path) -> None:
    provide(tmp_path / "engine", ["gpu1"], NOW)

    keys = list((tmp_path / "engine").glob("*.key"))

    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    assert sorted(key.name for key in keys) == ["authority.key", "gpu1.key"]
    assert stat.S_IMODE((tmp_path / "engine").stat().st_mode) == 0o700


def test_what_is_there_and_valid_is_kept(tmp_path: Path) -> None:
    provide(tmp_path, ["gpu1"], NOW)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    made = provide(tmp_path, ["gpu1", "gpu2"], NOW)

    assert [(one.name, one.is_new) for one in made] == [
        ("authority", False),
        ("gpu1", False),
        ("gpu2", True),
    ]
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_what_ends_soon_is_renewed_also_where_it_is_not_named(tmp_path: Path) -> None:
    provide(tmp_path, ["gpu1"], NOW, days=100)
    later = NOW + timedelta(days=100) - RENEWAL_TIME

    made = provide(tmp_path, [], later, days=50)

    assert [(one.name, one.is_new, one.until) for one in made[1:]] == [
        ("gpu1", True, later + timedelta(days=50))
    ]
    certificate = x509.load_pem_x509_certificate((tmp_path / "gpu1.pem").read_bytes())
    assert certificate.not_valid_after_utc == later + timedelta(days=50)


def test_no_certificate_outlives_the_authority(tmp_path: Path) -> None:
    provide(tmp_path, [], NOW)
    end = NOW + timedelta(days=AUTHORITY_DAYS)
    late = end - 2 * RENEWAL_TIME

    (_, host) = provide(tmp_path, ["gpu1"], late)
    assert host.until == end

    with pytest.raises(NodeError, match="begin a new folder"):
        provide(tmp_path, [], end - RENEWAL_TIME)


@pytest.mark.parametrize("host", ["", "../x", "a/b", "authority", "-x", "ä", "a b", "a..b", "a\0b"])
def test_what_is_no_host_is_refused_and_nothing_is_made(host: str, tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="name or address of a host"):
        provide(tmp_path / "new", ["gpu1", host], NOW)
    assert not (tmp_path / "new").exists()


def test_a_folder_of_others_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "site.pem").write_text("theirs")
    with pytest.raises(NodeError, match="an empty folder"):
        provide(tmp_path, ["gpu1"], NOW)
    assert [path.name for path in tmp_path.iterdir()] == ["site.pem"]


@pytest.mark.parametrize("lost", ["authority.pem", "authority.key"])
def test_a_damaged_authority_is_named(lost: str, tmp_path: Path) -> None:
    provide(tmp_path, [], NOW)
    (tmp_path / lost).write_text("damaged")
    with pytest.raises(NodeError, match=lost):
        provide(tmp_path, ["gpu1"], NOW)


def test_an_authority_without_its_own_key_alone_signs_nothing(tmp_path: Path) -> None:
    ours, others = tmp_path / "ours", tmp_path / "others"
    provide(ours, [], NOW)
    provide(others, [], NOW)
    key = ours / "authority.key"
    own = key.read_bytes()

    key.write_bytes((others / "authority.key").read_bytes())
    with pytest.raises(NodeError, match=r"expected the key of .*, got another's in .*/ours/auth"):
        provide(ours, ["gpu1"], NOW)
    key.write_bytes(own)
    key.chmod(0o644)
    with pytest.raises(NodeError, match=r"its owner alone \(mode 600\), got mode 644"):
        provide(ours, ["gpu1"], NOW)
    key.unlink()
    with pytest.raises(NodeError, match=f"got no {key}"):
        provide(ours, ["gpu1"], NOW)
    assert not (ours / "gpu1.pem").exists()


def test_a_file_that_a_crash_left_half_written_is_no_host(tmp_path: Path) -> None:
    provide(tmp_path, ["gpu1"], NOW)
    (tmp_path / "gpu2.pem.new").write_text("half")
    (tmp_path / "gpu1.key").unlink()

    made = provide(tmp_path, [], NOW)

    assert [(one.name, one.is_new) for one in made] == [("authority", False), ("gpu1", True)]
    assert (tmp_path / "gpu1.key").exists()


def test_nothing_half_written_is_taken_for_a_certificate(tmp_path: Path) -> None:
    tmp_path.joinpath("authority.pem.new").write_text("half")
    assert [one.is_new for one in provide(tmp_path, ["gpu1"], NOW)] == [True, True]
