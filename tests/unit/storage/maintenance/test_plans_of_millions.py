"""Questions that are asked often are answered by indexes, also as planners choose at a million."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks.growth.archive import KEEP, SLICES, fill, series_uid
from pipeline.encode.result.kinds import SUBSTITUTES
from storage.database.engine import migrate, open_database
from storage.database.sessions import Session, Sessions
from storage.delivery.outbox import due
from storage.files.folder import RESULTS, StorageFolder
from storage.maintenance.condensing import condensable, condense, forgettable
from storage.maintenance.consistency import compare_part, nothing_to_send
from storage.maintenance.purge import (
    kept_files,
    latest_change,
    series_usages,
    series_with_old_files,
)
from storage.maintenance.retention import RetentionRules, choose
from storage.results.audit_counts import received_of
from storage.series.instances import kept_digests, kept_in, kept_paths, known_among
from storage.series.lifecycle import claim_next, receiving
from storage.series.rerun import start_reruns
from storage.standing import standing
from tests.support.databases import database_url
from tests.support.dispatcher_samples import NOW
from tests.unit.storage.console.test_query_plans import Query, is_scan, plans

pytestmark = pytest.mark.database

GROWING = "series|instance|condensed_instances|result|result_object|delivery|closing"
SCANS = {  # series are counted by their states along an index
    "sqlite": re.compile(rf"\bSCAN ({GROWING})\b(?! USING COVERING INDEX ix_series_state)"),
    "postgresql": re.compile(rf"Seq Scan on ({GROWING})\b"),
}
OF_MILLIONS = re.compile(r"Seq Scan on (instance|result_object|delivery)\b")
"""Beside these, series and results are so few that PostgreSQL may read them all."""
BYTES_OF_A_MILLION = 1_500_000_000  #: of instances: the database, and room for its log
NOTHING = StorageFolder(Path("/nowhere"), 0, make=False)
LONG_AGO = NOW - timedelta(days=3650)
GONE, KEPT = series_uid(0), series_uid(3)  #: every other series has lost its files
QUERIES: dict[str, Query] = {
    "rows of a folder": lambda s: kept_in(s, "incoming/3f"),
    "files known": lambda s: known_among(s, [f"incoming/00/{n}.dcm" for n in range(3)]),
    "files to be read again": lambda s: kept_digests(s, "incoming/3f", 10),
    "instances of a request for commitment": lambda s: kept_paths(s, [f"{KEPT}.1", f"{KEPT}.2"]),
    "comparison of a folder": lambda s: compare_part(s, NOTHING, NOW, "incoming/3e"),
    "comparison of results": lambda s: compare_part(s, NOTHING, NOW, f"{RESULTS}0"),
    "nothing to send": nothing_to_send,
    "latest change": latest_change,
    "old files": lambda s: series_with_old_files(s, LONG_AGO),
    "retention of some": lambda s: choose(series_usages(s, [KEPT]), RetentionRules(keep=KEEP), NOW),
    "files of a series": lambda s: kept_files(s, KEPT),
    "condensable": lambda s: condensable(s, LONG_AGO, 20),
    "condensing": lambda s: condense(s, GONE, NOW),
    "forgettable": lambda s: forgettable(s, LONG_AGO, 20),
    "audit": lambda s: received_of(s, [GONE, KEPT]),
    "series received": receiving,
    "claim": lambda s: claim_next(s, NOW),
    "reruns": lambda s: start_reruns(s, NOW),
    "due deliveries": lambda s: due(s, "PACS", NOW, 50),
    "standing": lambda s: standing(s, ["PACS"], NOW),
}


@contextmanager
def archive(folder: Path, instances: int) -> Iterator[Session]:
    """Fill the database of a folder, and begin a transaction."""
    database = open_database(database_url(folder))
    migrate(database)
    fill(database, instances=instances, now=NOW, half_gone=True)
    with Sessions(database, substitutes=SUBSTITUTES).begin() as session:
        assert kept_files(session, KEPT)
        assert not kept_files(session, GONE)
        yield session
    database.dispose()


def scanning(session: Session, forbidden: re.Pattern[str]) -> list[tuple[str, str, str]]:
    """List the queries that look at all of a table that grows, with their plans."""
    found: list[tuple[str, str, str]] = []
    for name, query in QUERIES.items():
        made = plans(session, query)
        assert made, name
        found += [(name, *one) for one in made if is_scan(*one, forbidden)]
    return found


def test_what_the_node_asks_often_has_its_indexes(tmp_path: Path) -> None:
    with archive(tmp_path, 4 * SLICES) as session:
        kind = session.connection().dialect.name
        if kind == "postgresql":  # else it scans what is this small
            session.connection().exec_driver_sql("SET LOCAL enable_seqscan = off")
        found = scanning(session, SCANS[kind])
    assert not found, "\n\n".join(" | ".join(one) for one in found)


@pytest.mark.long
@pytest.mark.timeout(5400)
@pytest.mark.parametrize("millions", [1, 10])
def test_millions_of_instances_are_not_scanned(tmp_path: Path, millions: int) -> None:
    free = shutil.disk_usage(tmp_path).free
    if free < millions * BYTES_OF_A_MILLION:
        pytest.skip(f"{millions * BYTES_OF_A_MILLION} bytes of disk needed, {free} are free")
    with archive(tmp_path, millions * 1_000_000) as session:
        kind = session.connection().dialect.name
        found = scanning(session, SCANS[kind] if kind == "sqlite" else OF_MILLIONS)
    assert not found, "\n\n".join(" | ".join(one) for one in found)
