"""Rerun of a running node: results are issued again, and the PACS gets those announced."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import Comprehensive3DSRStorage, KeyObjectSelectionDocumentStorage
from typer.testing import CliRunner

from dicom_node.analysis.result_rows import KEPT
from dicom_node.cli.app import app
from dicom_node.cli.send import outgoing_files
from dicom_node.delivery.store_scu import send
from dicom_node.demo.stand_in_pacs import ACCEPTS, StandInPacs
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.overview import SeriesLine
from tests.support.node_process import NodeProcess, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[StandInPacs]:
    """One that takes Key Object Selections too."""
    accepts = (*ACCEPTS, KeyObjectSelectionDocumentStorage)
    with StandInPacs(tmp_path / "pacs", accepts=accepts) as running:
        yield running


def type_in(node: NodeProcess, *words: str) -> tuple[int, str]:
    answer = CliRunner().invoke(app, [*words, "--config", str(node.ini)])
    return answer.exit_code, answer.output


def line(node: NodeProcess, uid: str) -> SeriesLine:
    return next(line for line in node.overview().series if line.series_instance_uid == uid)


def reports(pacs: StandInPacs) -> list[Dataset]:
    """Measurement reports, in the order of their arrival."""
    stored = {str(ds.SOPInstanceUID): ds for ds in map(read, pacs.files)}
    return [
        stored[uid] for uid, sop_class in pacs.received if sop_class == Comprehensive3DSRStorage
    ]


def read(path: Path) -> Dataset:
    return dcmread(path, force=True)


def rejected(note: Dataset) -> set[str]:
    """SOP Instance UIDs that a rejection note names."""
    series = note.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    return {
        str(item.ReferencedSOPInstanceUID) for one in series for item in one.ReferencedSOPSequence
    }


def want_rejection_notes(node: NodeProcess) -> None:
    title = "ae_title = PACS\n"
    node.ini.write_text(node.ini.read_text().replace(title, f"{title}rejection_notes = yes\n"))


def check_rejection(pacs: StandInPacs) -> None:
    """The note comes last, and names every result of the CT that is no revision."""
    stored = {str(ds.SOPInstanceUID): ds for ds in map(read, pacs.files)}
    *results, (last, sop_class) = pacs.received
    assert sop_class == KeyObjectSelectionDocumentStorage
    described = {uid: str(stored[uid].SeriesDescription) for uid, _ in results}
    earlier = {
        uid
        for uid, words in described.items()
        if "revision" not in words and "not analysed" not in words
    }
    assert rejected(stored[last]) == earlier


def few_slices(folder: Path) -> str:
    """Write a series that is too short; return its UID."""
    made = phantom_datasets(
        make_phantom(PhantomSpec(seed=8, slices=10, size=64, lesions=0)), seed=8
    )
    write_series(made, folder)
    return str(made[0].SeriesInstanceUID)


def test_results_issued_again_supersede_and_notices_are_sent(
    make_node: Callable[..., NodeProcess], pacs: StandInPacs, chest: Path, tmp_path: Path
) -> None:
    node = make_node(pacs.port)
    want_rejection_notes(node)
    node.start()
    short = few_slices(tmp_path / "short")
    for folder in (chest, tmp_path / "short"):
        list(send(outgoing_files(folder)[0], node.peer, calling_ae="SCANNER"))
    node.wait_for_state("delivered", "unsuitable")
    (uid,) = {line.series_instance_uid for line in node.overview().series} - {short}

    wait_until(
        lambda: line(node, short).deliveries == {"accepted": 1}, seconds=30, what="the notice"
    )
    assert type_in(node, "reissue", short) == (
        1,
        f"{short}: refused: its instances have not been analysed: use reprocess\n",
    )
    code, output = type_in(node, "reissue", "--all")
    assert (code, "nothing to do" in output, "will be" in output) == (0, True, False)

    assert node.stop() == 0
    node.ini.write_text(node.ini.read_text() + "[analysis]\nthreshold = 0.999\n")
    code, output = type_in(node, "reissue", uid)
    assert (code, "will be issued again" in output) == (0, True)
    assert line(node, uid).wish == "reissue"
    node.start()
    wait_until(
        lambda: (line(node, uid).revision, line(node, uid).state) == (2, "delivered"),
        seconds=120,
        what=f"the second revision:\n{node.log()}",
    )

    check_rejection(pacs)

    first, second = reports(pacs)
    named = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert named.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert "revision 2" in second.SeriesDescription
    assert len(pacs.received) == len({uid for uid, _ in pacs.received})
    analyses = [path.read_bytes() for path in node.folder.glob(f"data/results/*/{KEPT}")]
    assert (len(analyses), len(set(analyses))) == (2, 1)  # no second inference
    assert (line(node, uid).wish, line(node, uid).positive) == (None, False)
