"""The bill of materials is valid by the schema, and names all that is installed, with licences."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.metadata import distribution, version

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from dicom_node.governance.licences import UNKNOWN, installed, licence_of, licences_text
from dicom_node.governance.sbom import sbom
from pipeline.model.manifest import BUNDLED, read_manifest

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def bill() -> str:
    return sbom(BUNDLED, NOW)


def test_it_is_valid_by_the_schema(bill: str) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)

    assert validator.validate_str(bill) is None
    broken = bill.replace('"library"', '"no such type"', 1)
    assert validator.validate_str(broken) is not None


def test_it_names_every_package_our_scripts_and_the_model(bill: str) -> None:
    said = json.loads(bill)
    components = {one["name"]: one for one in said["components"]}

    assert set(installed()) <= set(components)
    assert components["pydicom"]["version"] == version("pydicom")
    assert components["pydicom"]["purl"] == f"pkg:pypi/pydicom@{version('pydicom')}"
    assert components["htmx"]["licenses"] == [{"license": {"id": "0BSD"}}]
    manifest, sha256 = read_manifest(BUNDLED)
    model = components[manifest.name]
    assert model["type"] == "machine-learning-model"
    assert model["hashes"] == [{"alg": "SHA-256", "content": sha256}]
    assert said["metadata"]["component"]["name"] == "dicom-node"


def test_it_tells_what_the_program_needs_from_what_is_merely_there(bill: str) -> None:
    said = json.loads(bill)
    scopes = {one["name"]: one.get("scope") for one in said["components"]}
    needs = {one["ref"]: one.get("dependsOn", []) for one in said["dependencies"]}

    assert scopes["pynetdicom"] == scopes["pydantic-core"] == "required"
    assert scopes["pytest"] == "optional"
    assert f"pynetdicom=={version('pynetdicom')}" in needs["dicom-node"]
    assert f"pydicom=={version('pydicom')}" in needs[f"pynetdicom=={version('pynetdicom')}"]


def test_every_package_that_the_program_needs_says_its_licence(bill: str) -> None:
    required = [one for one in json.loads(bill)["components"] if one.get("scope") == "required"]

    assert [one["name"] for one in required if not one.get("licenses")] == []


def test_licences_are_written_with_their_texts() -> None:
    text = licences_text()

    assert f"numpy {version('numpy')}: {licence_of(distribution('numpy'))}" in text
    assert "Zero-Clause BSD" in text
    assert "Permission is hereby granted, free of charge" in text
    assert UNKNOWN not in licence_of(distribution("pydicom"))
