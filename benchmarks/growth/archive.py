"""Fill database and storage folder as months of work would: rows of series, and empty files."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from benchmarks.console.data import MODEL
from storage.database.schema import Base, Delivery, Instance, Result, ResultObject, Series
from storage.files.folder import StorageFolder
from storage.states import DeliveryState, SeriesState

SLICES = 300  #: of a series, a chest at 1 mm
HEATMAP = 70  #: images of a result's heatmap, 4 mm apart
DOCUMENTS = ("segmentation", "report", "text-report", "summary")  #: objects of a result besides
SPAN = timedelta(days=30)  #: over which the series have come
KEEP = timedelta(days=15)  #: age at which files of a series may be gone
SENDERS = 12
CT, SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.7"
SUMMARY = '{"score": 0.5, "lesions": []}' + " " * 1500  #: about as long as that of a case
QUICKLY = ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000")
"""Pragmas of SQLite by which nothing is safe but the speed."""
Row = dict[str, Any]


def fill(engine: Engine, *, instances: int, now: datetime, half_gone: bool = False) -> int:
    """Fill the tables; return the number of series.

    Parameters
    ----------
    instances
        How many, in series of `SLICES`; each series has a delivered result.
    half_gone
        Whether the files of every other series, the first among them, were removed at `KEEP`.
    """
    series = max(1, instances // SLICES)
    times = [now - SPAN * (1 - n / series) for n in range(series)]
    removed = [at + KEEP if half_gone and n % 2 == 0 else None for n, at in enumerate(times)]
    each = list(enumerate(zip(times, removed, strict=True)))
    _write(engine, Series, (_series(n, at) for n, (at, _) in each))
    _write(engine, Result, (_result(n, at, away) for n, (at, away) in each))
    _write(engine, Instance, (row for n, (at, away) in each for row in _instances(n, at, away)))
    _write(engine, ResultObject, (row for n, _ in each for row in _objects(n)))
    _write(engine, Delivery, (row for n, (at, _) in each for row in _deliveries(n, at)))
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":  # its autovacuum would, a minute later
            connection.execute(text("SELECT setval('delivery_id_seq', max(id)) FROM delivery"))
            connection.execute(text("ANALYZE"))
    return series


def put_files(folder: StorageFolder, series: int) -> None:
    """Make the files of every instance and of every result, empty."""
    for n in range(series):
        for position in range(SLICES):
            _touch(folder.root / _path(n, position))
        (folder.root / _folder(n)).mkdir()
        for position in range(len(DOCUMENTS) + HEATMAP):
            _touch(folder.root / f"{_folder(n)}/{position:04d}.dcm")


def _touch(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))


def _write(engine: Engine, table: type[Base], rows: Iterable[Row]) -> None:
    """Write rows by the driver's own quick way: there are millions."""
    columns = table.__table__.columns
    names = [column.name for column in columns]
    defaults = {
        column.name: column.default.arg
        for column in columns
        if column.default is not None and column.default.is_scalar
    }
    is_sqlite = engine.dialect.name == "sqlite"
    values = (
        [_of_driver(row.get(name, defaults.get(name)), is_sqlite) for name in names] for row in rows
    )
    quoted = ", ".join(f'"{name}"' for name in names)
    target = f'"{table.__tablename__}" ({quoted})'
    if is_sqlite:
        engine.dispose()
        with closing(sqlite3.connect(str(engine.url.database), isolation_level=None)) as database:
            for pragma in QUICKLY:
                database.execute(f"PRAGMA {pragma}")
            marks = ", ".join("?" * len(names))
            database.execute("BEGIN EXCLUSIVE")
            database.executemany(f"INSERT INTO {target} VALUES ({marks})", values)  # noqa: S608  # our own names
            database.execute("COMMIT")
        return
    connection = engine.raw_connection()
    with connection.cursor().copy(f"COPY {target} FROM STDIN") as copy:  # type: ignore[attr-defined]  # psycopg's
        for row in values:
            copy.write_row(row)
    connection.commit()
    connection.close()


def _of_driver(value: object, is_sqlite: bool) -> object:  # of every value
    if is_sqlite and isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
    return str(value) if isinstance(value, str) else value


def series_uid(n: int) -> str:
    """Name the n-th series."""
    return f"1.2.826.0.1.3680043.10.{n:09d}"


def _folder(n: int) -> str:
    return f"results/{n:064d}"


def _digest(n: int, position: int) -> str:
    return hashlib.sha256(f"{n} {position}".encode()).hexdigest()


def _path(n: int, position: int) -> str:
    name = hashlib.sha256(f"{series_uid(n)}.{position}".encode()).hexdigest()
    return f"incoming/{name[:2]}/{name[:32]}-{_digest(n, position)}.dcm"


def _series(n: int, at: datetime) -> Row:
    return {
        "series_instance_uid": series_uid(n),
        "study_instance_uid": f"1.2.826.0.1.3680043.11.{n:09d}",
        "modality": "CT",
        "sop_class_uid": CT,
        "calling_ae": f"CT{n % SENDERS}",
        "first_at": at - timedelta(seconds=30),
        "last_at": at,
        "instances": SLICES,
        "state": SeriesState.DELIVERED.value,
        "since": at + timedelta(minutes=2),
        "result_key": f"{n:064d}",
        "patient_key": f"{n // 2:064x}",
        "patient_digest": f"{n // 2:064x}",
        "birth_digest": f"{n // 2:064x}",
        "accession_key": f"{n:064x}",
        "study_date": f"{at:%Y%m%d}",
        "study_time": f"{at:%H%M%S}",
    }


def _result(n: int, at: datetime, away: datetime | None) -> Row:
    return {
        "key": f"{n:064d}",
        "series_instance_uid": series_uid(n),
        "inputs": f"{n:064x}",
        "generation": 1,
        "created_at": at + timedelta(minutes=1),
        "model": MODEL,
        "score": 0.5,
        "positive": True,
        "summary": SUMMARY,
        "folder": _folder(n),
        "purged_at": away,
    }


def _instances(n: int, at: datetime, away: datetime | None) -> Iterator[Row]:
    for position in range(SLICES):
        yield {
            "sop_instance_uid": f"{series_uid(n)}.{position}",
            "digest": _digest(n, position),
            "series_instance_uid": series_uid(n),
            "sop_class_uid": CT,
            "transfer_syntax_uid": "1.2.840.10008.1.2.1",
            "path": _path(n, position),
            "bytes": 526_000,
            "calling_ae": f"CT{n % SENDERS}",
            "received_at": at,
            "purged_at": away,
            "acquisition_number": 1,
            "instance_number": position,
            "plane": f"{n:064x}",
            "height_mm": float(position),
        }


def _object_uid(n: int, position: int) -> str:
    return f"2.25.{(1 << 127) + n * 1000 + position}"


def _objects(n: int) -> Iterator[Row]:
    for position in range(len(DOCUMENTS) + HEATMAP):
        kind = DOCUMENTS[position] if position < len(DOCUMENTS) else "heatmap"
        yield {
            "sop_instance_uid": _object_uid(n, position),
            "result_key": f"{n:064d}",
            "kind": kind,
            "sop_class_uid": SECONDARY_CAPTURE,
            "series_instance_uid": f"2.25.{(1 << 126) + n * 10 + min(position, len(DOCUMENTS))}",
            "transfer_syntax_uid": "1.2.840.10008.1.2.1",
            "path": f"{_folder(n)}/{position:04d}.dcm",
            "position": position,
        }


def _deliveries(n: int, at: datetime) -> Iterator[Row]:
    objects = len(DOCUMENTS) + HEATMAP
    for position in range(objects):
        yield {
            "id": 1 + n * objects + position,
            "sop_instance_uid": _object_uid(n, position),
            "destination": "PACS",
            "state": DeliveryState.ACCEPTED.value,
            "attempts": 1,
            "first_at": at + timedelta(minutes=1),
            "next_at": at + timedelta(minutes=1),
        }
