"""Read the parts of a governance pack."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

from config.settings import Settings
from config.versions import versions
from dicom_node.analysis.configuration import model_folder, model_of
from dicom_node.assembly.resources import existing_resources
from dicom_node.audit.decisions import Decided
from dicom_node.cli.maintenance.support import parts_of as support_parts
from dicom_node.cli.views.json_text import json_text
from dicom_node.drift.overview import scanner_lines
from dicom_node.governance.licences import licences_text
from dicom_node.governance.model_inventory import UsedModel, inventory, manifests_at_hand
from dicom_node.governance.pack import Part
from dicom_node.governance.registry import as_csv, as_json
from dicom_node.governance.result_records import Record, records
from dicom_node.governance.sbom import sbom
from dicom_node.identity_key import existing_key
from dicom_node.maintenance.support_bundle import Pseudonyms, effective, make_bundle
from storage.console.changes import latest_changes
from storage.database.sessions import Session
from storage.files.decision_log import FILE, Verified, read_decisions, verify, whole_bytes
from storage.files.disk import blocks_of
from storage.files.identity_key import NO_KEY
from storage.files.installation import installation_of
from storage.results.self_tests import latest_self_tests

MOST_CHANGES = 100_000  #: that are packed, the latest
MOST_SELF_TESTS = 1_000


def about(settings: Settings) -> dict[str, str]:
    """Say which installation a pack is of."""
    return {
        "installation": installation_of(settings.storage.folder),
        "AE title": settings.node.ae_title,
        "dicom-node": version("dicom-node"),
    }


class LogNow:
    """The log of decisions as it is when it is first read, whatever a node adds to it later."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def size(self) -> int:
        """Bytes of its whole lines."""
        return whole_bytes(self._folder)

    @cached_property
    def verified(self) -> Verified:
        """What a verification of these finds."""
        return verify(self._folder, size=self.size)

    def text(self) -> Iterator[bytes]:
        """Read these, some at a time."""
        left = self.size
        for block in _blocks(self._folder / FILE):
            yield block[:left]
            left = max(0, left - len(block))


def parts_of(settings: Settings, ini: Path, now: datetime, log: LogNow) -> dict[str, Part]:
    """Name every part of a pack, and what reads it."""
    folder, words = settings.storage.folder, Pseudonyms()

    def of_database(read: Callable[[Session], object]) -> Part:
        def text() -> Iterator[bytes]:
            with closing(existing_resources(settings)) as resources:
                with resources.sessions.reading() as session:
                    found = read(session)
                yield words.of(json_text(found)).encode()

        return text

    def of_results(write: Callable[[Iterable[Record]], Iterator[str]]) -> Part:
        def text() -> Iterator[bytes]:
            key = existing_key(folder)
            with closing(existing_resources(settings)) as resources:
                for piece in write(records(resources.sessions, key)):
                    yield piece.encode()

        return text

    return {
        "sbom.cdx.json": lambda: [sbom(model_folder(settings), now).encode()],
        "licences.txt": lambda: [licences_text().encode()],
        "models.json": lambda: [json_text(used_models(settings)).encode()],
        "decisions.jsonl": log.text,
        "decisions-verified.json": lambda: [json_text(_said(log.verified)).encode()],
        "settings.json": lambda: [json_text(effective(settings)).encode()],
        "settings-history.json": lambda: [json_text(_history(ini)).encode()],
        "changes.json": of_database(lambda session: latest_changes(session, MOST_CHANGES)),
        "results.csv": of_results(as_csv),
        "results.json": of_results(as_json),
        "self-tests.json": of_database(lambda session: latest_self_tests(session, MOST_SELF_TESTS)),
        "scanners.json": of_database(
            lambda session: scanner_lines(session, settings.drift.reference_series)
        ),
        "support.zip": lambda: _support(settings, now),
    }


def used_models(settings: Settings) -> list[UsedModel]:
    """Make the inventory of models of an installation."""
    folder = settings.storage.folder
    with closing(existing_resources(settings)) as resources:
        return inventory(
            records(resources.sessions, NO_KEY),
            read_decisions(folder, Decided.STARTED),
            manifests_at_hand(folder, model_folder(settings)),
            model_of(settings).sha256,
        )


def _blocks(file: Path) -> Iterator[bytes]:
    if file.exists():  # but for the log of decisions before the first start
        yield from blocks_of(file)


def _said(found: Verified) -> dict[str, str]:
    return {"head": str(found.head), "fault": found.fault}


def _history(ini: Path) -> list[dict[str, object]]:
    return [
        {"at": one.at, "by": one.by, "changes": [str(change) for change in one.changes]}
        for one in versions(ini)
    ]


def _support(settings: Settings, now: datetime) -> Iterator[bytes]:
    with tempfile.TemporaryDirectory(prefix="support-") as place:
        bundle = Path(place) / "support.zip"
        make_bundle(bundle, support_parts(settings, now), to_json=json_text)
        yield from _blocks(bundle)
