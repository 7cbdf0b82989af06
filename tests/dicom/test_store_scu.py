"""Storage SCU over real associations with a stand-in PACS."""

import socket
import threading
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEGLSNearLossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)
from pynetdicom.dsutils import split_dataset

from benchmarks.processes import missing, storescp
from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.store_scu import echo, send
from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.network.association import Peer

BOTH = pytest.mark.parametrize("fast", [True, False], ids=["fast", "stock"])


def make_file(
    folder: Path, number: int, *, syntax: str = ExplicitVRLittleEndian, text: str = ""
) -> Path:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PatientName, ds.TextValue = "Test^Sending", text
    path = folder / f"{number}.dcm"
    dcmwrite(path, ds, enforce_file_format=True)
    return path


def peer_of(pacs: StandInPacs) -> Peer:
    return Peer(ae_title=pacs.ae_title, host="127.0.0.1", port=pacs.port, timeout_seconds=5)


@BOTH
def test_files_arrive_as_they_are(tmp_path: Path, fast: bool) -> None:
    files = [make_file(tmp_path, n) for n in range(3)]
    with StandInPacs(tmp_path / "pacs") as pacs:
        sent = send(map(OutgoingFile.of, files), peer_of(pacs), calling_ae="NODE", fast=fast)
        outcomes = dict(sent)

    assert [o.verdict for o in outcomes.values()] == [Verdict.ACCEPTED] * 3
    assert {dcmread(f).SOPInstanceUID for f in pacs.files} == {
        dcmread(f).SOPInstanceUID for f in files
    }


def data_set(path: Path) -> bytes:
    """Encoded data set of a file, behind its File Meta Information."""
    return path.read_bytes()[split_dataset(path)[1] :]


@BOTH
def test_bytes_are_sent_from_the_file_and_not_encoded_anew(tmp_path: Path, fast: bool) -> None:
    """A group length (retired) would be left out of what is decoded and encoded."""
    file = make_file(tmp_path, 1)
    start = split_dataset(file)[1]
    length = b"\x08\0\0\0UL\x04\0" + (100).to_bytes(4, "little")
    file.write_bytes(file.read_bytes()[:start] + length + data_set(file))

    with StandInPacs(tmp_path / "pacs") as pacs:
        ((_, outcome),) = send([OutgoingFile.of(file)], peer_of(pacs), calling_ae="NODE", fast=fast)

    assert outcome.verdict is Verdict.ACCEPTED
    assert [data_set(path) for path in pacs.files] == [data_set(file)]


@BOTH
def test_each_object_has_its_own_outcome(tmp_path: Path, fast: bool) -> None:
    files = [make_file(tmp_path, n) for n in range(4)]
    answers = [0x0000, 0xA700, 0xC000, 0x0111]
    with StandInPacs(tmp_path / "pacs", answer=answers.__getitem__) as pacs:
        sent = send(map(OutgoingFile.of, files), peer_of(pacs), calling_ae="NODE", fast=fast)
        outcomes = [outcome for _, outcome in sent]

    assert [o.verdict for o in outcomes] == [
        Verdict.ACCEPTED,
        Verdict.POSTPONED,
        Verdict.REFUSED,
        Verdict.ACCEPTED,
    ]


@BOTH
def test_a_refused_transfer_syntax_is_refused_and_the_rest_arrives(
    tmp_path: Path, fast: bool
) -> None:
    plain, odd = make_file(tmp_path, 1), make_file(tmp_path, 2, syntax=JPEGLSNearLossless)
    with StandInPacs(tmp_path / "pacs") as pacs:
        files = map(OutgoingFile.of, [odd, plain])
        sent = send(files, peer_of(pacs), calling_ae="NODE", fast=fast)
        outcomes = [outcome for _, outcome in sent]

    assert [o.verdict for o in outcomes] == [Verdict.UNSUPPORTED, Verdict.ACCEPTED]
    assert "JPEG-LS" in outcomes[0].detail


@BOTH
@pytest.mark.skipif(bool(missing("storescp")), reason="DCMTK is not installed")
def test_storescp_keeps_what_the_files_hold(tmp_path: Path, fast: bool) -> None:
    files = [make_file(tmp_path, n, text="text" * 5000 * n) for n in range(3)]
    (tmp_path / "kept").mkdir()
    with storescp("+B", "-uf", "-pdu", "4096")(tmp_path / "kept") as peer:
        there = Peer(ae_title="AINODE", host="127.0.0.1", port=peer.port, timeout_seconds=10)
        sent = send(map(OutgoingFile.of, files), there, calling_ae="NODE", fast=fast)
        outcomes = [outcome.verdict for _, outcome in sent]

    assert outcomes == [Verdict.ACCEPTED] * 3
    kept = (tmp_path / "kept").iterdir()
    assert sorted(map(data_set, kept)) == sorted(map(data_set, files))


def test_an_unreachable_peer_postpones_everything(tmp_path: Path) -> None:
    with StandInPacs(tmp_path / "pacs") as pacs:
        gone = peer_of(pacs)

    (outcome,) = [
        o for _, o in send([OutgoingFile.of(make_file(tmp_path, 1))], gone, calling_ae="NODE")
    ]

    assert outcome.verdict is Verdict.POSTPONED
    why = f"nothing listens on port {gone.port} there"
    assert outcome.detail == f"PACS at 127.0.0.1:{gone.port} cannot be reached: {why}"
    assert echo(gone, calling_ae="NODE").detail == outcome.detail


def test_a_wrong_called_title_says_so(tmp_path: Path) -> None:
    with StandInPacs(tmp_path / "pacs") as pacs:
        pacs._ae.require_called_aet = True  # the peer's own setting
        wrong = Peer(ae_title="OTHER", host="127.0.0.1", port=pacs.port, timeout_seconds=5)
        outcome = echo(wrong, calling_ae="NODE")

    assert outcome.verdict is Verdict.POSTPONED
    assert "rejected" in outcome.detail


def test_a_peer_that_knows_no_dicom_is_told_from_one_that_is_not_there() -> None:
    def hang_up() -> None:
        server.accept()[0].close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        hanging_up = threading.Thread(target=hang_up)
        hanging_up.start()
        port = server.getsockname()[1]
        peer = Peer(ae_title="WEB", host="127.0.0.1", port=port, timeout_seconds=5)
        outcome = echo(peer, calling_ae="NODE")
        hanging_up.join()

    assert outcome.detail.endswith("aborted the association or did not answer")


@pytest.mark.parametrize("count", [1, 3])
def test_echo(tmp_path: Path, count: int) -> None:
    with StandInPacs(tmp_path / "pacs") as pacs:
        for _ in range(count):
            assert echo(peer_of(pacs), calling_ae="NODE").verdict is Verdict.ACCEPTED
