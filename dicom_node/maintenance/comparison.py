"""Compare rows with files, a part at a time: here, or in a process of its own that is bounded.

``python -m dicom_node.maintenance.comparison`` reads one `Request` from its standard input, JSON on
one line, and answers with one `Round`. The node asks it every hour: what the comparison needs of
memory and processor is neither the receiver's nor for ever.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from dicom_node.errors import NodeError
from storage.database.engine import open_database
from storage.database.sessions import Sessions
from storage.errors import StorageError
from storage.files.folder import StorageFolder
from storage.files.object_folder import ObjectFolder
from storage.files.objects_address import ObjectsAddress, object_store_at
from storage.maintenance.consistency import STATES, Finding, Kind, compare_part, joined

ROUND_SECONDS = 120.0  #: after which a round ends with the part under way; the next goes on there
GRACE_SECONDS = 300.0  #: beyond that, for one part; a disk that does not answer ends the process
MOST_TOLD = 10_000  #: findings of one kind that a round of the process names; the others it counts
NICENESS = 10  #: of the process, above the node's


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a process is to compare.

    Attributes
    ----------
    database_url
        With its password, if it has one: it goes through a pipe.
    objects
        The bucket of the files, with its key; None if they are in the folder.
    after
        Part behind which the comparison goes on; empty for its beginning.
    """

    database_url: str
    folder: str
    now: datetime
    after: str
    seconds: float
    objects: ObjectsAddress | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What was found in some parts of a comparison that follow one another.

    Attributes
    ----------
    after
        Part behind which the next round goes on; empty once all were compared.
    counts
        Rows and files that disagree, by kind: also of findings that are not named.
    looked_at
        As in :class:`storage.maintenance.consistency.Part`.
    """

    findings: tuple[Finding, ...]
    after: str = ""
    counts: Mapping[Kind, int] = field(default_factory=dict)
    looked_at: Mapping[Kind, int] = field(default_factory=dict)


def compare(
    sessions: Sessions,
    folder: StorageFolder,
    now: datetime,
    *,
    after: str = "",
    is_enough: Callable[[], bool] = lambda: False,
    most: int | None = None,
) -> Round:
    """Compare part by part, each in a transaction of its own; changes nothing.

    Parameters
    ----------
    after
        Part behind which to go on.
    is_enough
        Asked after each part: whether to end there.
    most
        Findings of one kind that are named; None for all.
    """
    findings: list[Finding] = []
    counts, looked_at, named = Counter[Kind](), Counter[Kind](), Counter[Kind]()
    while after != STATES:
        with sessions.reading() as session:
            part = compare_part(session, folder, now, after)
        if part is None:
            break
        looked_at.update(part.looked_at)
        for finding in part.findings:
            counts[finding.kind] += finding.count
            if most is None or named[finding.kind] < most:
                named[finding.kind] += 1
                findings.append(finding)
        after = part.name
        if is_enough():
            break
    return Round(
        findings=tuple(joined(findings)),
        after="" if after == STATES else after,
        counts=dict(counts),
        looked_at=dict(looked_at),
    )


class ComparisonProcess:
    """Runs rounds of the comparison in a process of their own, one at a time.

    Attributes
    ----------
    is_stopped
        Whether it was told to stop: rounds end at once then.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self.is_stopped = False

    def run(self, request: Request, *, grace_seconds: float = GRACE_SECONDS) -> Round:
        """Have one round made; wait for it.

        Raises
        ------
        NodeError
            If the process cannot compare, does not end in time, or is stopped.
        """
        command = [sys.executable, "-P", "-m", __spec__.name]
        with subprocess.Popen(  # noqa: S603  # our own command
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            self._process = process
            if self.is_stopped:
                process.kill()
            try:
                answer, _ = process.communicate(
                    _request_text(request), timeout=request.seconds + grace_seconds
                )
            except subprocess.TimeoutExpired as fault:
                process.kill()
                limit = f"{request.seconds + grace_seconds:.0f} s"
                raise NodeError(f"the comparison did not end within {limit}") from fault
            finally:
                self._process = None
        if process.returncode:
            raise NodeError(answer.strip() or f"the comparison ended with {process.returncode}")
        return _round(answer)

    def stop(self) -> None:
        """End the process; nothing depends on what it would have found."""
        self.is_stopped = True
        process = self._process
        if process is not None:
            process.kill()


def _request_text(request: Request) -> str:
    return json.dumps({**asdict(request), "now": request.now.isoformat()}) + "\n"


def _round_text(made: Round) -> str:
    return json.dumps(asdict(made))


def _round(text: str) -> Round:
    made = json.loads(text)
    return Round(
        findings=tuple(
            Finding(**{**finding, "kind": Kind(finding["kind"])}) for finding in made["findings"]
        ),
        after=made["after"],
        counts={Kind(kind): count for kind, count in made["counts"].items()},
        looked_at={Kind(kind): count for kind, count in made["looked_at"].items()},
    )


def _serve(line: str) -> str:
    """Make the round that a request asks for; end early where the process that asked is gone."""
    asked = json.loads(line)
    request = Request(
        **{
            **asked,
            "now": datetime.fromisoformat(asked["now"]),
            "objects": ObjectsAddress(**asked["objects"]) if asked["objects"] else None,
        }
    )
    ends, parent = time.monotonic() + request.seconds, os.getppid()
    database = open_database(request.database_url)
    made = compare(
        Sessions(database),
        _folder(request),
        request.now,
        after=request.after,
        is_enough=lambda: time.monotonic() >= ends or os.getppid() != parent,
        most=MOST_TOLD,
    )
    database.dispose()
    return _round_text(made)


def _folder(request: Request) -> StorageFolder:
    root = Path(request.folder)
    if request.objects is None:
        return StorageFolder(root, 0, make=False)
    return ObjectFolder(root, 0, object_store_at(request.objects), make=False)


def main() -> int:
    """Answer one request; say in one sentence why that cannot be done."""
    with suppress(OSError):  # a sandbox may deny it
        os.nice(NICENESS)
    try:
        answer, status = _serve(sys.stdin.readline()), 0
    except (StorageError, OSError) as fault:
        answer, status = f"rows and files cannot be compared: {fault}", 1
    sys.stdout.write(answer + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
