"""Ask each page of a console again and again, beside a database of years."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median, quantiles
from urllib.parse import quote

from benchmarks.console.client import Browser, Serving, console, prepare
from benchmarks.console.data import FLAGS, fill
from benchmarks.rounds import scratch
from dicom_node.clock_watch import utc_now
from dicom_node.console.parameters import cursor
from storage.console.worklist import Filter, worklist
from storage.database.engine import migrate, open_database
from storage.database.sessions import Sessions

SHARE = 95  #: per cent of the answers that come within the time that is given
WARM = 3  #: answers before those that count


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a page took, milliseconds.

    Attributes
    ----------
    processor
        Of the console's process, not of a database server.
    """

    name: str
    middle: float
    high: float
    processor: float


def pages_of(database: str, *, series: int, deliveries: int, times: int) -> list[Row]:
    """Fill a database, and ask every page."""
    with scratch() as folder:
        url = database or f"sqlite:///{folder / 'node.sqlite'}"
        now = utc_now()
        engine = open_database(url)
        migrate(engine)
        fill(engine, series=series, deliveries=deliveries, now=now)
        engine.dispose()
        prepare(folder, url)
        with console(folder, url) as serving:
            return [_asked(serving, name, path, times) for name, path in _pages(url).items()]


def _pages(url: str) -> dict[str, str]:
    """Give each page its name and address."""
    engine = open_database(url)
    with Sessions(engine).reading() as session:
        lines = worklist(session, Filter(), 1000)
    engine.dispose()
    last = quote(cursor(lines[-1].last_at, lines[-1].series_instance_uid))
    (scored, *_) = (line for line in lines if line.score is not None)
    day = f"{lines[-1].last_at.astimezone():%Y-%m-%d}"
    return {
        "worklist": "/",
        "worklist, rows alone": "/rows",
        "worklist, tiles alone": "/tiles",
        "worklist, page 21": f"/?before={last}",
        "worklist, failed": "/?state=failed",
        "worklist, unsuitable": "/?state=unsuitable",
        "worklist, of a sender": "/?sender=CT3",
        "worklist, of a destination": "/?destination=PACS",
        "worklist, of a flag": f"/?flag={FLAGS[1]}",
        "worklist, of a day": f"/?day={day}",
        "worklist, of a study": f"/?study={scored.study_instance_uid}",
        "series": f"/series/{scored.series_instance_uid}",
        "why": f"/why?study={scored.study_instance_uid}",
        "destinations": "/destinations",
        "senders": "/senders",
        "queue": "/queue",
        "thresholds, 30 days": "/thresholds",
        "thresholds, 365 days": "/thresholds?days=365",
        "what-if, 365 days": "/thresholds/outcome?days=365&threshold=0.6",
        "what-if, of a scanner": "/thresholds/outcome?days=365&threshold=0.6&scanner=Maker+2",
        "performance": "/performance",
        "model": "/model",
        "system": "/system",
        "people and audit": "/people",
        "settings": "/settings",
        "account": "/account",
    }


def _asked(serving: Serving, name: str, path: str, times: int) -> Row:
    browser = Browser(serving.port)
    for _ in range(WARM):
        browser.get(path)
    began, taken = serving.processor_seconds(), list[float]()
    for _ in range(times):
        start = time.perf_counter()
        browser.get(path)
        taken.append(1000 * (time.perf_counter() - start))
    processor = 1000 * (serving.processor_seconds() - began) / times
    high = quantiles(taken, n=100)[SHARE - 1]
    return Row(name=name, middle=median(taken), high=high, processor=processor)
