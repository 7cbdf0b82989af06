"""The summary page as encapsulated PDF."""

from __future__ import annotations

import shutil
import subprocess
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread

from pipeline.encode.bundle import encode, part10
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.result.products import Products
from tests.support.samples.encode_samples import CREATED, analysis, context, ct_series


def document(**changes: object) -> Dataset:
    wanted = Products(summary_pdf=True)
    bundle = encode(ct_series(), analysis(), context(products=wanted, **changes))
    (found,) = (item for item in bundle.objects if item.kind is ResultKind.DOCUMENT)
    return dcmread(BytesIO(part10(found.dataset)))


def contents(dataset: Dataset) -> bytes:
    held: bytes = dataset.EncapsulatedDocument
    return held[: dataset.EncapsulatedDocumentLength]


def test_it_says_what_it_is_and_where_it_comes_from() -> None:
    found = document()
    assert found.Modality == "DOC"
    assert found.SeriesNumber == 9008
    assert found.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert found.BurnedInAnnotation == "NO"
    assert found.VerificationFlag == "UNVERIFIED"
    assert "research use" in found.DocumentTitle
    assert found.ConceptNameCodeSequence[0].CodeValue == "SUMMARY-PAGE"
    sources = {item.ReferencedSOPInstanceUID for item in found.SourceInstanceSequence}
    assert sources == {header.SOPInstanceUID for header in ct_series().headers}


def test_it_holds_one_page_of_a_pdf() -> None:
    held = contents(document())
    assert held.startswith(b"%PDF-")
    assert held.rstrip().endswith(b"%%EOF")
    assert held.count(b"/Type /Page\n") == 1
    assert len(document().EncapsulatedDocument) % 2 == 0


def test_the_same_result_gives_the_same_bytes_and_the_time_is_that_of_the_result() -> None:
    assert contents(document()) == contents(document())
    later = contents(document(created=CREATED + timedelta(days=1)))
    assert later != contents(document())
    assert b"D:20261123103015" in later


def test_it_names_no_patient() -> None:
    held = contents(document())
    for secret in (b"Muster", b"P-1", b"A-77"):
        assert secret not in held


def test_no_document_unless_it_is_wanted() -> None:
    kinds = {item.kind for item in encode(ct_series(), analysis(), context()).objects}
    assert ResultKind.DOCUMENT not in kinds


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dicom3tools is not installed")
def test_dciodvfy_finds_no_error(tmp_path: Path) -> None:
    path = tmp_path / "document.dcm"
    path.write_bytes(part10(document()))
    done = subprocess.run(
        ["dciodvfy", "-new", str(path)], check=False, capture_output=True, text=True
    )
    assert "EncapsulatedPDF" in done.stderr + done.stdout
    assert "Error" not in done.stderr + done.stdout


def test_the_picture_in_the_pdf_is_the_page() -> None:
    held = contents(document())
    start = held.index(b"\xff\xd8\xff")
    with Image.open(BytesIO(held[start:])) as picture:
        shown = np.asarray(picture)
    assert shown.shape == (1920, 2560, 3)
    assert shown.std() > 10
