"""The description of a backup, and its list of digests, are believed as they were written."""

import json
from pathlib import Path

import pytest

from dicom_node.maintenance.backup import verify_backup
from storage.backup.manifest import (
    DESCRIPTION,
    DIGEST,
    WITHOUT_DIGEST,
    Manifest,
    write_manifest,
)
from storage.errors import StorageError
from storage.files.sums import SUMS
from tests.unit.dicom_node.maintenance.test_backup import (  # some are fixtures
    backup,
    ini,
    resources,
)

__all__ = ["backup", "ini", "resources"]  # fixtures

pytestmark = pytest.mark.database


CHANGES: dict[str, object] = {
    "made_at": "2026-22-01T00:00:00+00:00",
    "program": 7,
    "installation": "another",
    "database": 5,
    "revision": "0026",
    "files": 18,
    "bytes": "x",
    "sums_sha256": None,
    "lease": "another",
}


@pytest.mark.parametrize("key", CHANGES)
def test_a_description_that_was_changed_is_not_believed(backup: Path, key: str) -> None:
    description = backup / DESCRIPTION
    values = json.loads(description.read_text())
    assert key in values
    description.write_text(json.dumps({**values, key: CHANGES[key]}))

    with pytest.raises(StorageError, match="was changed"):
        verify_backup(backup)


@pytest.mark.parametrize("key", ["made_at", "program", "database", "files", "bytes"])
def test_nor_one_of_a_format_without_a_digest_of_it(backup: Path, key: str) -> None:
    described_as(backup, format=WITHOUT_DIGEST)
    assert verify_backup(backup).faults == []
    described_as(backup, format=WITHOUT_DIGEST, **{key: CHANGES[key]})

    with pytest.raises(StorageError, match="was changed"):
        verify_backup(backup)


def described_as(backup: Path, **values: object) -> None:
    """Write the description anew, with other values."""
    description = backup / DESCRIPTION
    known = json.loads(description.read_text())
    description.unlink()
    known.pop(DIGEST, None)
    write_manifest(backup, Manifest(**{**known, **values}))
    if values.get("format") == WITHOUT_DIGEST:
        known = json.loads(description.read_text())
        del known[DIGEST]
        description.write_text(json.dumps(known))


@pytest.mark.parametrize("name", [SUMS, DESCRIPTION])
def test_a_backup_that_is_not_whole_is_none(backup: Path, name: str) -> None:
    (backup / name).unlink()

    with pytest.raises(StorageError, match=name):
        verify_backup(backup)


def test_a_list_that_was_changed_is_not_believed(backup: Path) -> None:
    sums = backup / SUMS
    sums.write_text(sums.read_text().replace("folder/station", "../../station"))

    with pytest.raises(StorageError, match="was changed"):
        verify_backup(backup)
