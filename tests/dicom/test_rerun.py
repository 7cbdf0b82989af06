"""Rerun of a running node: results are issued again, and the PACS gets those announced."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import Comprehensive3DSRStorage
from typer.testing import CliRunner

from dicom_node.analysis.result_rows import KEPT
from dicom_node.cli.app import app
from dicom_node.cli.send import outgoing_files
from dicom_node.delivery.store_scu import send
from dicom_node.demo.stand_in_pacs import StandInPacs
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.overview import SeriesLine
from tests.support.node_process import NodeProcess, wait_until

pytestmark = pytest.mark.slow


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

    first, second = reports(pacs)
    named = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert named.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert "revision 2" in second.SeriesDescription
    assert len(pacs.received) == len({uid for uid, _ in pacs.received})
    analyses = [path.read_bytes() for path in node.folder.glob(f"data/results/*/{KEPT}")]
    assert (len(analyses), len(set(analyses))) == (2, 1)  # no second inference
    assert (line(node, uid).wish, line(node, uid).positive) == (None, False)
