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
from pipeline.encode.common import sentences
from pipeline.encode.common.segments import LESION_COLOURS, REMAINING_COLOUR
from pipeline.encode.page import sop_instances
from pipeline.encode.page.pdf_canvas import ON_PAPER
from pipeline.encode.page.sop_instances import pdf
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.result.products import Products
from tests.support.pdf_text import pictures_of, text_of
from tests.support.samples.encode_samples import CREATED, analysis, context, ct_series


def document(**changes: object) -> Dataset:
    made = sop_instances.document(ct_series(), analysis(), context(**changes))
    return dcmread(BytesIO(part10(made)))


def contents(dataset: Dataset) -> bytes:
    held: bytes = dataset.EncapsulatedDocument
    return held[: dataset.EncapsulatedDocumentLength]


def test_it_says_what_it_is_and_where_it_comes_from() -> None:
    found = document()
    assert found.Modality == "DOC"
    assert found.SeriesNumber == 9008
    assert found.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert found.BurnedInAnnotation == "YES"
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


def test_its_text_can_be_searched_and_says_what_the_page_says() -> None:
    said = text_of(contents(document()))
    for words in ("AI summary of a chest CT", "Score above threshold", "1.5 ml", "Axial"):
        assert words in said
    assert sentences.RESEARCH_NOTICE in said
    assert sentences.NOT_ASSESSED in said


def test_it_names_the_patient_above_the_page() -> None:
    first = text_of(contents(document())).splitlines()[0]
    for value in ("Muster, Mia", "P-1", "1960-01-01", "2026-11-22", "A-77"):
        assert value in first


@pytest.mark.parametrize(
    ("terms", "name", "shown"),
    [
        ("ISO_IR 100", "Müller^Jörg", "Patient: Müller, Jörg "),
        ("ISO_IR 192", "Œuvray^François", "Patient: Œuvray, François "),
        ("ISO_IR 144", "Люкceмбypг", "Patient: name in the DICOM header "),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎", "Patient: Yamada, Tarou "),
    ],
)
def test_a_name_is_drawn_whole_or_not_at_all(terms: str | list[str], name: str, shown: str) -> None:
    series = ct_series(SpecificCharacterSet=terms, PatientName=name)
    assert text_of(pdf(series, analysis(), context())).startswith(shown)


def test_an_id_that_cannot_be_drawn_is_not_left_out_in_silence() -> None:
    series = ct_series(SpecificCharacterSet="ISO_IR 192", PatientID="Ж-17")
    assert "ID: in the DICOM header " in text_of(pdf(series, analysis(), context()))


def test_no_document_unless_it_is_wanted() -> None:
    for wanted in (False, True):
        products = context(products=Products(summary_pdf=wanted))
        kinds = {item.kind for item in encode(ct_series(), analysis(), products).objects}
        assert (ResultKind.DOCUMENT in kinds) == wanted


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dicom3tools is not installed")
def test_dciodvfy_finds_no_error(tmp_path: Path) -> None:
    path = tmp_path / "document.dcm"
    path.write_bytes(part10(document()))
    done = subprocess.run(
        ["dciodvfy", "-new", str(path)], check=False, capture_output=True, text=True
    )
    assert "EncapsulatedPDF" in done.stderr + done.stdout
    assert "Error" not in done.stderr + done.stdout


def test_the_views_are_pictures_in_it() -> None:
    pictures = pictures_of(contents(document()))
    assert len(pictures) == 2
    for held in pictures:
        with Image.open(BytesIO(held)) as picture:
            assert np.asarray(picture).std() > 10


def test_outlines_and_their_numbers_keep_their_colours_on_paper() -> None:
    assert not set(ON_PAPER) & {*LESION_COLOURS, REMAINING_COLOUR}


def test_it_names_its_author_and_its_subject() -> None:
    """A system that files documents shows both; ReportLab's own say anonymous."""
    written = pdf(ct_series(), analysis(), context())
    assert b"/Author (Chest CT node)" in written
    assert b"/Subject (Research use only. Not for primary diagnosis.)" in written
