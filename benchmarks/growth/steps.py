"""Steps that go over an archive, each in a process of its own, which tells its cost.

``python -m benchmarks.growth.steps STEP URL FOLDER`` prints one line of JSON.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from benchmarks.growth.archive import SLICES, SPAN
from dicom_node.clock_watch import utc_now
from dicom_node.maintenance.comparison import compare
from dicom_node.maintenance.confirmed_clock import ConfirmedClock
from dicom_node.maintenance.retention import RetentionJob, RowRetention
from dicom_node.reception.ingest import rescan
from dicom_node.resources import Resources
from pipeline.encode.result.kinds import SUBSTITUTES
from storage.database.engine import open_database
from storage.database.sessions import Sessions
from storage.files.folder import StorageFolder
from storage.files.identity_key import IdentityKey
from storage.maintenance.condensing import condensable
from storage.maintenance.recovery import recover
from storage.maintenance.retention import RetentionRules
from storage.overview import overview
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import record_instances

KILOBYTES_OF_MEGABYTE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a step took.

    Attributes
    ----------
    seconds, processor
        Wall and processor time, seconds; of this process, not of a database server.
    megabytes
        Most memory of the process.
    """

    seconds: float
    processor: float
    megabytes: float


def _start(resources: Resources, now: datetime) -> None:
    if rescan(resources):
        raise RuntimeError("expected a row of every file")
    with resources.sessions.begin() as session:
        recover(session, now)


def _compare(resources: Resources, now: datetime) -> None:
    if found := compare(resources.sessions, resources.folder, now).findings:
        raise RuntimeError(f"expected that rows and files agree, got {found[:3]}")


def _retain(resources: Resources, now: datetime) -> None:
    """Look for what is due, of which there is nothing."""
    RetentionJob(
        resources=resources,
        rules=RetentionRules(keep=2 * SPAN),
        clock=ConfirmedClock(lambda: now),
        rows=RowRetention(resources=resources, condense=timedelta(days=36500)),
    ).run_once()


def _receive(resources: Resources, now: datetime) -> None:
    """Enter the instances of one new series."""
    facts = InstanceFacts(
        sop_instance_uid="1",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        series_instance_uid=f"1.2.3.{now.timestamp():.0f}",
        study_instance_uid="1.2.3",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality="CT",
        calling_ae="CT1",
        path="",
        digest="0" * 64,
        bytes=1,
    )
    names = [f"{facts.series_instance_uid}.{n}" for n in range(SLICES)]
    arrivals = [
        (replace(facts, sop_instance_uid=name, path=f"elsewhere/{name}"), now) for name in names
    ]
    with resources.sessions.begin() as session:
        record_instances(session, arrivals)


def _status(resources: Resources, _now: datetime) -> None:
    with resources.sessions.reading() as session:
        overview(session)


def _condense(resources: Resources, now: datetime) -> None:
    """Condense all that is gone; run after run, as by the hour."""
    job = RowRetention(resources=resources, condense=timedelta(seconds=1))
    before = now - timedelta(seconds=1)
    while True:
        job.run_once(now)
        with resources.sessions.reading() as session:
            if not condensable(session, before, 1):
                return


STEPS: Mapping[str, Callable[[Resources, datetime], None]] = MappingProxyType(
    {
        "start": _start,
        "compare": _compare,
        "retain": _retain,
        "receive": _receive,
        "status": _status,
        "condense": _condense,
    }
)


def cost_of(step: str, url: str, folder: Path) -> Cost:
    """Take a step in a process of its own."""
    ended = subprocess.run(  # our own command
        [sys.executable, "-P", "-m", __spec__.name, step, url, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Cost(**json.loads(ended.stdout.splitlines()[-1]))


def _peak_megabytes() -> float:
    """Tell the most memory of this process; `resource` would begin with that of its parent."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (kilobytes,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kilobytes) / KILOBYTES_OF_MEGABYTE


def main() -> None:
    """Take one step, and tell what it took."""
    step, url, folder = sys.argv[1:]
    database = open_database(url)
    resources = Resources(
        sessions=Sessions(database, substitutes=SUBSTITUTES),
        folder=StorageFolder(Path(folder), 0),
        identity_key=IdentityKey(bytes(32)),
    )
    began, processor = time.perf_counter(), time.process_time()
    STEPS[step](resources, utc_now())
    cost = Cost(
        seconds=time.perf_counter() - began,
        processor=time.process_time() - processor,
        megabytes=_peak_megabytes(),
    )
    resources.close()
    print(json.dumps(asdict(cost)))


if __name__ == "__main__":
    main()
