"""Fill a database as years of work would: rows alone, no files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Engine, insert, text

from pipeline.model.manifest import BUNDLED
from pipeline.reasons import QualityFlag
from storage.database.console_tables import ConsoleChange
from storage.database.schema import Delivery, Instance, Result, ResultObject, Series
from storage.states import DeliveryState, SeriesState

D, S = DeliveryState, SeriesState
SPAN = timedelta(days=730)  #: over which the series have come
EVERY = 5  #: of so many series one is a chest CT with a score
OBJECTS = 5  #: of a result
CHANGES = 10_000  #: made at the console
BATCH = 5_000  #: rows that are written at a time
SENDERS, SCANNERS, KERNELS = 12, 8, 6
DESTINATIONS = ("PACS", "ARCHIVE")
FLAGS = sorted(QualityFlag)
CARD = json.loads((BUNDLED / "manifest.json").read_text(encoding="utf-8"))
MODEL = f"{CARD['name']} {CARD['version']}"  #: whose scores the page of thresholds shows
Row = dict[str, Any]


def fill(engine: Engine, *, series: int, deliveries: int, now: datetime) -> None:
    """Fill the tables.

    Parameters
    ----------
    series
        How many; evenly over `SPAN`, the latest now. The latest of those with a result have
        deliveries, to two destinations in turn; some wait, some were refused.
    """

    def at(n: int) -> datetime:
        return now - SPAN * (n / series)

    with engine.begin() as connection:
        scored = range(0, series, EVERY)
        sent = scored[: deliveries // OBJECTS]
        objects = [(n, position) for n in sent for position in range(OBJECTS)]
        _write(connection, Series, (_series(n, at(n)) for n in range(series)))
        _write(connection, Result, (_result(n, at(n)) for n in scored))
        _write(connection, Instance, (_instance(n, at(n)) for n in sent))
        _write(connection, ResultObject, (_object(*one) for one in objects))
        _write(connection, Delivery, (_delivery(*one, at(one[0])) for one in objects))
        _write(connection, ConsoleChange, (_change(n, at(n)) for n in range(CHANGES)))
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":  # its autovacuum would, a minute later
            connection.execute(text("ANALYZE"))


def _write(connection: Connection, table: type, rows: Iterator[Row]) -> None:
    while some := list(islice(rows, BATCH)):
        connection.execute(insert(table), some)


def _uid(n: int) -> str:
    return f"1.2.826.0.1.3680043.10.{n:09d}"


def _series(n: int, at: datetime) -> Row:
    is_scored = n % EVERY == 0
    state = S.UNSUITABLE
    if is_scored:
        state = S.FAILED if n % (EVERY * 997) == 0 else S.DELIVERED
    if n < 40 and not is_scored:
        state = (S.RECEIVING, S.STABLE, S.ANALYSING, S.UNSUITABLE)[n % 4]
    return {
        "series_instance_uid": _uid(n),
        "study_instance_uid": f"1.2.826.0.1.3680043.11.{n // 4:09d}",
        "modality": "CT",
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
        "calling_ae": f"CT{n % SENDERS}",
        "first_at": at - timedelta(seconds=30),
        "last_at": at,
        "instances": 300,
        "state": state,
        "since": at,
        "reason": "not-axial" if state is S.UNSUITABLE else "",
        "result_key": f"{n:064d}" if is_scored else None,
        "patient_key": f"{n // 8:064x}",
        "patient_digest": f"{n // 8:064x}",
        "accession_key": f"{n // 4:064x}",
        "study_date": f"{at:%Y%m%d}",
    }


def _score(n: int) -> float:
    return (n * 7919 % 10007) / 10007  # evenly spread, in no order


def _result(n: int, at: datetime) -> Row:
    score = _score(n)
    summary = {
        "score": score,
        "threshold": 0.44,
        "involvement": {"right": 0.1, "left": 0.0, "total": 0.05},
        "lungs_ml": {"right": 2000.0, "left": 1800.0, "total": 3800.0},
        "opacities_ml": {"ground_glass": 40.0, "consolidation": 2.0},
        "lesions": [
            {
                "number": k,
                "side": "right",
                "volume_ml": 4.0,
                "long_axis_mm": 21.0,
                "key_slice_from_below": 12 * k,
            }
            for k in range(1, 6)
        ],
        "geometry": {"slices": 300},
        "flags": [FLAGS[n % len(FLAGS)]] if n % 3 == 0 else [],
        "doubts": [],
    }
    return {
        "key": f"{n:064d}",
        "series_instance_uid": _uid(n),
        "generation": 1,
        "created_at": at + timedelta(seconds=45),
        "model": MODEL,
        "score": score,
        "positive": score > 0.44,
        "summary": json.dumps(summary),
        "folder": f"results/{n}",
        "scanner": f"Maker {n % SCANNERS}",
        "kernel": f"B{n % KERNELS}0f",
    }


def _instance(n: int, at: datetime) -> Row:
    return {
        "sop_instance_uid": f"{_uid(n)}.1",
        "digest": f"{n:064x}",
        "series_instance_uid": _uid(n),
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "path": f"incoming/{n}",
        "bytes": 526_000,
        "calling_ae": f"CT{n % SENDERS}",
        "received_at": at,
    }


def _object(n: int, position: int) -> Row:
    return {
        "sop_instance_uid": f"{_uid(n)}.9.{position}",
        "result_key": f"{n:064d}",
        "kind": ("report", "text-report", "segmentation", "summary", "heatmap")[position],
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.88.33",
        "series_instance_uid": f"{_uid(n)}.8.{position}",
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "path": f"results/{n}/{position}",
        "position": position,
    }


def _delivery(n: int, position: int, at: datetime) -> Row:
    state, turn = D.ACCEPTED, n // EVERY
    if turn % 10 == 0:
        state = D.REFUSED if turn % 50 == 0 else D.PENDING
    return {
        "sop_instance_uid": f"{_uid(n)}.9.{position}",
        "destination": DESTINATIONS[turn % 2],
        "state": state,
        "attempts": 1,
        "first_at": at,
        "next_at": at,
        "reason": "" if state is D.ACCEPTED else "A700: out of resources",
    }


def _change(n: int, at: datetime) -> Row:
    return {"at": at, "user": "admin", "action": "reissue", "subject": _uid(n * EVERY)}
