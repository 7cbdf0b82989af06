"""The bill of materials is valid by the schema, and names all that is installed, with licences."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.metadata import distribution, version
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from dicom_node.governance.licences import (
    UNKNOWN,
    installed,
    licence_of,
    licence_texts,
    licences_text,
)
from dicom_node.governance.sbom import needs_of, reached, sbom
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


def distribution_in(place: Path, name: str, metadata: str, *files: str) -> None:
    """Write what an installed package leaves: metadata, a record, and files."""
    folder = place / f"{name}-1.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(metadata)
    (folder / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    for file in files:
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        (place / file).write_text(f"text of {file}")


def test_of_two_with_one_name_the_first_counts_and_a_broken_one_is_left_out(
    tmp_path: Path,
) -> None:
    for place, version_ in (("a", "2"), ("b", "1")):
        distribution_in(tmp_path / place, "One", f"Name: One\nVersion: {version_}\n")
    distribution_in(tmp_path / "a", "~roken", "")
    pytest.importorskip("importlib_metadata")  # which looks for distributions as well from then on

    found = installed([str(tmp_path / "a"), str(tmp_path / "b")])

    assert {name: one.version for name, one in found.items()} == {"one": "2"}


def test_what_an_extra_needs_is_needed_with_it_alone(tmp_path: Path) -> None:
    needs = 'Requires-Dist: fast; extra == "quick"\nRequires-Dist: rare; extra == "slow"\n'
    distribution_in(tmp_path, "one", f"Name: one\nVersion: 1\n{needs}")
    distribution_in(tmp_path, "two", "Name: two\nVersion: 1\nRequires-Dist: one[quick]\n")
    for name in ("fast", "rare"):
        distribution_in(tmp_path, name, f"Name: {name}\nVersion: 1\n")
    found = installed([str(tmp_path)])

    assert {name for name, _ in reached([("two", "")], found)} == {"two", "one", "fast"}
    assert needs_of(found)["one"] == ["fast"]


def test_every_text_of_a_licence_is_found_and_unknown_is_none(tmp_path: Path) -> None:
    texts = [
        *("one-1.dist-info/licenses/LICENSE_APACHE", "one-1.dist-info/licenses/gpl-3-0.txt"),
        *("one-1.dist-info/dragon4_LICENSE.txt", "one-1.dist-info/THIRD-PARTY-NOTICES.md"),
        *("one-1.dist-info/terms.txt", "one/licenses/LICENSE-aom"),
    ]
    code = ["one/license.py", "one/notices/box.js", "one-1.dist-info/METADATA"]
    said = "Name: one\nVersion: 1\nLicense: UNKNOWN\nLicense-File: terms.txt\n"
    classifier = "Classifier: License :: OSI Approved :: BSD License\n"
    distribution_in(tmp_path, "one", said + classifier, *texts, *code[:2])
    one = installed([str(tmp_path)])["one"]

    assert sorted(path for path, _ in licence_texts(one)) == sorted(texts)
    assert licence_of(one) == "BSD License"


def test_licences_are_written_with_their_texts() -> None:
    text = licences_text()

    assert f"numpy {version('numpy')}: {licence_of(distribution('numpy'))}" in text
    assert "Zero-Clause BSD" in text
    assert "Permission is hereby granted, free of charge" in text
    assert UNKNOWN not in licence_of(distribution("pydicom"))
