"""Orthanc sends CT series to the node, and receives their results."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian
from scipy import ndimage

from pipeline.series.volume import assemble
from pipeline.synthetic.phantom.dicom import SeriesOptions, phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from tests.acceptance.support.orthanc import (
    SECONDS,
    Orthanc,
    modalities,
    objects,
    poll,
    push,
    upload,
)
from tests.support.node_process import NodeProcess
from tests.support.samples import feedback_documents as documents

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

AIR_HU = -500  #: lung is darker than this, soft tissue brighter


@pytest.fixture
def node(
    orthanc: Orthanc, node_port: int, make_node: Callable[..., NodeProcess]
) -> Iterator[NodeProcess]:
    running = make_node(orthanc.dicom_port, port=node_port, quiet=3)
    ini = running.ini.read_text().replace("ae_title = PACS", "ae_title = ORTHANC")
    running.ini.write_text(ini)
    running.start()
    yield running
    assert running.stop() == 0, running.log()


def analysed(orthanc: Orthanc, node: NodeProcess, study_uid: str) -> dict[str, list[Dataset]]:
    """Push a study, wait for its results, fetch all of them from the PACS."""
    push(orthanc, study_uid)
    poll(
        lambda: node.states() == ["delivered"], seconds=SECONDS + 5, what=f"delivery\n{node.log()}"
    )
    return {
        modality: [ds for one in series for ds in objects(orthanc, one)]
        for modality, series in modalities(orthanc, study_uid).items()
    }


def validate(folder: Path, datasets: list[Dataset]) -> list[str]:
    """Run dciodvfy on each object; return its errors."""
    errors = []
    for number, ds in enumerate(datasets):
        path = folder / f"{number}.dcm"
        if ds.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
            ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian  # it reads no deflated ones
        ds.save_as(path, enforce_file_format=True)
        answer = subprocess.run(
            ["dciodvfy", "-new", path], capture_output=True, text=True, check=False
        )
        errors += [line for line in answer.stderr.splitlines() if line.startswith("Error")]
    return errors


@pytest.mark.real
@pytest.mark.parametrize(  # all: test_real_results.py
    "case", ["covid-01", pytest.param("normal-01", marks=pytest.mark.long)]
)
def test_a_real_chest_ct_comes_back_with_results(
    orthanc: Orthanc, node: NodeProcess, real_ct: Path, tmp_path: Path, case: str
) -> None:
    study_uid = upload(orthanc, real_ct / case)

    found = analysed(orthanc, node, study_uid)

    assert set(found) == {"CT", "SEG", "SR", "OT"}
    assert 1 < len(found["OT"]) <= 1 + len(found["CT"])  # the page, and a heatmap of the lungs
    results = [*found["SEG"], *found["SR"], *found["OT"][:2]]
    assert validate(tmp_path, results) == []
    source = found["CT"][0]
    for ds in results:
        for keyword in ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID"):
            assert ds[keyword].value == source[keyword].value
    assert_lands_on_the_lungs(found["SEG"][0], found["CT"])
    for report in found["SR"]:
        path = tmp_path / "report.dcm"
        report.save_as(path, enforce_file_format=True)
        subprocess.run(["dsrdump", path], check=True, capture_output=True)


def assert_lands_on_the_lungs(dataset: Dataset, ct: list[Dataset]) -> None:
    """Read the segmentation back by source instance and hold it against the CT itself."""
    segmentation = hd.seg.Segmentation.from_dataset(dataset)
    volume = assemble(ct).volume
    count = len(volume.source)
    for n in range(count // 4, 3 * count // 4, 8):
        hu, source = volume.hu[n], volume.source[n]
        assert source is not None
        masks = segmentation.get_pixels_by_source_instance(
            [source.sop_instance_uid], segment_numbers=[1, 2]
        )[0].astype(bool)
        lungs = masks.any(-1)
        columns = np.arange(hu.shape[1])
        assert lungs.mean() > 0.03
        assert (hu[lungs] < AIR_HU).mean() > 0.6  # opacities are lung too
        # head first, supine: the patient's right is on the left of the image
        assert columns[masks[..., 0].any(0)].mean() < columns[masks[..., 1].any(0)].mean()
        dark = ndimage.binary_opening(hu < AIR_HU, iterations=3) & inside(hu)
        assert (dark & lungs).sum() > 0.9 * dark.sum()


def inside(hu: np.ndarray) -> np.ndarray:
    """The body without the air around it."""
    return ndimage.binary_erosion(ndimage.binary_fill_holes(hu > AIR_HU), iterations=12)


def test_odd_senders_end_visibly(
    orthanc: Orthanc, node: NodeProcess, tmp_path: Path, chest: Path
) -> None:
    """storescu and dcmsend; a short series, a localiser, a cut file, an MR."""
    short = phantom_datasets(make_phantom(PhantomSpec(slices=3, size=64, lesions=0)), seed=31)
    scout = phantom_datasets(
        make_phantom(PhantomSpec(slices=1, size=64, lesions=0)),
        seed=32,
        options=SeriesOptions(series_description="Topogram"),
    )
    scout[0].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    cut = phantom_datasets(
        make_phantom(PhantomSpec(slices=40, size=64, spacing_mm=5, lesions=0)), seed=33
    )
    cut[7].PixelData = cut[7].PixelData[:1000]
    mr = phantom_datasets(make_phantom(PhantomSpec(slices=1, size=64, lesions=0)), seed=34)
    mr[0].SOPClassUID = mr[0].file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    for name, datasets in {"short": short, "scout": scout, "cut": cut, "mr": mr}.items():
        write_series(datasets, tmp_path / name)
    where = ["127.0.0.1", str(node.port)]
    for name in ("short", "scout", "cut"):
        command = ["storescu", "-R", "-aec", "AINODE", "+sd", *where, tmp_path / name]
        subprocess.run(command, check=True, capture_output=True)
    subprocess.run(  # -R: propose only what is sent
        ["storescu", "-R", "-aec", "AINODE", *where, tmp_path / "mr" / "IM0001.dcm"],
        check=False,
        capture_output=True,
    )
    subprocess.run(
        ["dcmsend", "-aec", "AINODE", "+sd", *where, chest], check=True, capture_output=True
    )

    poll(lambda: len(node.states()) == 4, seconds=30, what="four series")
    node.wait_for_state("delivered", "unsuitable", seconds=SECONDS)

    seen = node.overview()
    reasons = {line.instances: line.reason.partition(":")[0] for line in seen.series}
    assert reasons == {3: "too-few-slices", 1: "localizer", 40: "pixel-data", 60: ""}
    refused = [refusal.what for refusal in seen.refusals if refusal.calling_ae]
    assert refused == ["MR Image Storage"]  # besides the connections that asked for nothing


def test_a_study_sent_back_does_no_harm_and_a_rejection_of_its_report_is_feedback(
    orthanc: Orthanc, node: NodeProcess, chest: Path, tmp_path: Path
) -> None:
    """A careless rule sends the whole study: the CT is known already, and reports for our own."""
    study_uid = upload(orthanc, chest)
    first = analysed(orthanc, node, study_uid)
    report, results = first["SR"][0], modalities(orthanc, study_uid)
    (ct,), (seg,), reports = results["CT"], results["SEG"], results["SR"]

    orthanc.post("/modalities/ainode/store", {"Resources": [ct], "Synchronous": True})
    assert len(orthanc.get(f"/series/{ct}")["Instances"]) == len(first["CT"])
    (line,) = node.overview().series
    assert (line.state, line.generation, line.instances) == ("delivered", 1, 60)

    with suppress(OSError):  # Orthanc reports that no context was accepted
        orthanc.post("/modalities/ainode/store", {"Resources": [seg], "Synchronous": True})
    assert node.states() == ["delivered"]

    orthanc.post("/modalities/ainode/store", {"Resources": reports, "Synchronous": True})
    poll(lambda: len(node.states()) == 1 + len(reports), seconds=30, what="the reports")
    node.wait_for_state("delivered", "unsuitable", seconds=SECONDS)
    back = [line for line in node.overview().series if line.state == "unsuitable"]
    assert {line.reason.partition(":")[0] for line in back} == {"own-result"}
    assert {sum(line.deliveries.values()) for line in back} == {0}

    note = documents.rejection([report])
    (tmp_path / "note").mkdir()
    note.save_as(tmp_path / "note" / "note.dcm", enforce_file_format=True)
    upload(orthanc, tmp_path / "note")

    orthanc.post(
        "/modalities/ainode/store",
        {"Resources": modalities(orthanc, study_uid)["KO"], "Synchronous": True},
    )

    poll(lambda: "feedback" in node.states(), seconds=60, what=f"feedback\n{node.log()}")
    (line,) = (line for line in node.overview().series if line.state == "delivered")
    assert [(said.answer, said.reason) for said in line.answers] == [("rejected", "quality")]
