"""The example INI and the reference in the documentation agree with the settings."""

import re
from pathlib import Path

from config import (
    DicomDestination,
    FhirDestination,
    Hl7Destination,
    Settings,
    WebDestination,
    example_ini,
    load,
    settings_reference,
)
from config.reader import SECTIONS
from tests.support.paths import ROOT

EXAMPLE = ROOT / "deploy" / "dicom-node.example.ini"


def from_text(folder: Path, text: str) -> Settings:
    (folder / "node.ini").write_text(text)
    return load(folder / "node.ini")


def test_example_in_deploy_is_the_one_the_code_renders() -> None:
    assert EXAMPLE.read_text() == example_ini()


def test_example_as_it_is_gives_the_defaults(tmp_path: Path) -> None:
    assert from_text(tmp_path, example_ini()) == from_text(tmp_path, "")


def test_example_with_every_key_taken_gives_the_defaults_and_its_destinations(
    tmp_path: Path,
) -> None:
    everything = re.sub(r"(?m)^#(?=\S)", "", example_ini())
    settings = from_text(tmp_path, everything)

    assert settings.destinations == (
        DicomDestination(name="PACS", ae_title="PACS", host="pacs.example.org", port=104),
        WebDestination(name="WEB", url="https://pacs.example.org/dicom-web"),
        Hl7Destination(name="RIS", hl7="ris.example.org:2575"),
        FhirDestination(name="FHIR", fhir="https://fhir.example.org/r4"),
    )
    assert settings.model_copy(update={"destinations": ()}) == from_text(tmp_path, "")


def test_every_key_is_in_the_example_and_in_the_reference() -> None:
    sections = dict(re.findall(r"(?ms)^## \[([^\n]+)\n(.*?)(?=^## |\Z)", settings_reference()))
    models = {f"{title}]": model for title, model in SECTIONS.items()}
    models |= {
        "destination NAME] by DICOM": DicomDestination,
        "destination NAME] by DICOMweb": WebDestination,
        "destination NAME] by HL7": Hl7Destination,
        "destination NAME] by FHIR": FhirDestination,
    }

    assert list(sections) == list(models)
    for title, model in models.items():
        for key in set(model.model_fields) - {"name"}:
            assert f"\n#{key} =" in example_ini()
            assert sections[title].count(f"\n| `{key}` |") == 1


def test_reference_shows_defaults_as_they_are_written() -> None:
    lines = settings_reference().splitlines()

    assert "| `ae_title` | `AINODE` | Our AE title. (restart) |" in lines
    assert any(line.startswith("| `calling_aes` | (empty) |") for line in lines)
    assert any(line.startswith("| `text_report` | `yes` |") for line in lines)
    assert any(line.startswith("| `host` | `required` |") for line in lines)
    assert all(line.count("|") == 4 for line in lines if line.startswith("|"))
