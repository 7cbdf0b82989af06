"""The notice that a series was not analysed."""

from __future__ import annotations

import shutil
import subprocess
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread

from pipeline.encode.bundle import part10
from pipeline.encode.result.identity import ReportReference
from pipeline.encode.sr.notice import not_analysed
from tests.support.samples.encode_samples import context, ct_series

REASON = ("too-few-slices", "20 slices or more expected, got 6")


def test_the_reason_is_said_beside_the_series() -> None:
    series = ct_series()
    report = dcmread(BytesIO(part10(not_analysed(series.headers, *REASON, context()))))
    said = [item.TextValue for item in report.ContentSequence[-1].ContentSequence]
    assert "NOT analysed" in said[0]
    assert said[1] == "Reason: 20 slices or more expected, got 6 (too-few-slices)."
    assert report.StudyInstanceUID == series.headers[0].StudyInstanceUID
    assert report.PatientID == "P-1"
    assert report.SeriesDescription.startswith("AI")
    study = report.CurrentRequestedProcedureEvidenceSequence[0]
    listed = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert [item.ReferencedSOPInstanceUID for item in listed] == [
        header.SOPInstanceUID for header in series.headers
    ]


def test_a_notice_may_supersede_a_report() -> None:
    previous = ReportReference(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
        sop_instance_uid="1.9.1",
        series_instance_uid="1.9.2",
        study_instance_uid="1.2.3.1",
    )
    chosen = context(predecessor=previous, generation=2)

    notice = not_analysed(ct_series().headers, *REASON, chosen)

    named = notice.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert named.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.9.1"


def test_a_notice_needs_a_source() -> None:
    with pytest.raises(ValueError, match="at least one header"):
        not_analysed([], *REASON, context())


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dicom3tools is not installed")
def test_dciodvfy_finds_no_error_in_the_notice(tmp_path: Path) -> None:
    path = tmp_path / "notice.dcm"
    path.write_bytes(part10(not_analysed(ct_series().headers, *REASON, context())))
    done = subprocess.run(
        ["dciodvfy", "-new", str(path)], check=False, capture_output=True, text=True
    )
    assert "EnhancedSR" in done.stdout + done.stderr
    assert "Error" not in done.stdout + done.stderr
