"""Every kind of result, of plain and odd series, passes third-party validators and readers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from pydicom import dcmread

from pipeline.encode.result.kinds import ResultKind
from tests.acceptance.support import validators
from tests.acceptance.support.findings import IMAGES, REPORTS, finding, findings_of
from tests.acceptance.support.samples import SAMPLES, Written, encoded
from tests.acceptance.support.tolerated import FALSE_ALARMS, Finding, not_tolerated

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

TEMPLATES_OF = {
    "everything": tuple(kind for kind in REPORTS if kind is not ResultKind.REJECTION_NOTE),
    "nothing found": (ResultKind.REPORT,),
    "enhanced": (ResultKind.REPORT,),
}
"""Reports that differ in structure (a rejection note is as key images): the check takes 20 s of a
core for each."""
PAINTED = (
    "everything", "other forms", "label map", "nothing found",
    "FFP", "missing slice", "not square", "enhanced",
)  # fmt: skip
"""Samples whose pixels differ."""

with_templates = validators.PIXELMED.exists() and shutil.which("java") is not None

Sets = Callable[[str], Written]
Findings = Callable[[str], list[Finding]]


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Sets:
    """Result set of a sample, made once."""
    return cache(lambda name: encoded(name, tmp_path_factory.mktemp("set")))


@pytest.fixture(scope="module")
def findings(sets: Sets) -> Findings:
    """What dciodvfy, dcentvfy and dsrdump say of a sample, asked once."""
    return cache(lambda name: list(findings_of(sets(name))))


@pytest.fixture(scope="module")
def template_findings(sets: Sets) -> Findings:
    return cache(lambda name: list(template_findings_of(sets(name))))


def template_findings_of(written: Written) -> Iterator[Finding]:
    for kind, path in written.results:
        if kind in TEMPLATES_OF[written.sample]:
            yield from finding(written, "DicomSRValidator", kind, validators.sr_validator(path))


@pytest.mark.parametrize("name", SAMPLES)
def test_objects_entities_and_reports_are_valid(findings: Findings, name: str) -> None:
    assert not_tolerated(findings(name)) == []


@pytest.mark.skipif(not with_templates, reason="not installed: libpixelmed-java")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", TEMPLATES_OF)
def test_reports_follow_their_templates(template_findings: Findings, name: str) -> None:
    assert not_tolerated(template_findings(name)) == []


@pytest.mark.parametrize("name", PAINTED)
def test_dcmtk_paints_every_picture(sets: Sets, tmp_path: Path, name: str) -> None:
    for path in sets(name).of_kind(*IMAGES):
        for program in ("dcm2pnm", "dcmj2pnm"):
            frames = validators.pictures(path, tmp_path, program)

            assert len(frames) == int(dcmread(path).get("NumberOfFrames", 1))
            assert any(frame.max() > frame.min() for frame in frames), (path.name, program)


def test_every_kind_is_among_the_samples(sets: Sets) -> None:
    for name in ("everything", "other forms", "label map"):
        assert {kind for kind, _ in sets(name).results} == set(ResultKind)


def test_the_pdf_of_the_page_opens(sets: Sets, tmp_path: Path) -> None:
    (document,) = sets("everything").of_kind(ResultKind.DOCUMENT)
    page = tmp_path / "page.pdf"

    assert validators.said("dcm2pdf", document, page) == []
    assert page.read_bytes().startswith(b"%PDF-")


def test_the_validators_see_a_fault(sets: Sets, tmp_path: Path) -> None:
    """What they let pass would say little if they let everything pass."""
    report = dcmread(sets("everything").of_kind(ResultKind.REPORT)[0])
    del report.CompletionFlag
    report.PatientID = "SOMEBODY ELSE"
    broken = tmp_path / "broken.dcm"
    report.save_as(broken)

    assert [line for line in validators.dciodvfy(broken) if "CompletionFlag" in line]
    assert validators.dcentvfy([broken, *sets("everything").source])


@pytest.mark.timeout(900)
def test_every_tolerated_alarm_is_still_raised(
    findings: Findings, template_findings: Findings
) -> None:
    """An alarm that no validator raises any more is to be taken from the list."""
    heard = [*(line for name in SAMPLES for line in findings(name))]
    if with_templates:
        heard += [line for name in TEMPLATES_OF for line in template_findings(name)]
    idle = [
        f"{alarm.validator}: {alarm.pattern}"
        for alarm in FALSE_ALARMS
        if (with_templates or alarm.validator != "DicomSRValidator")
        and not any(alarm.covers(line) for line in heard)
    ]
    assert idle == []
