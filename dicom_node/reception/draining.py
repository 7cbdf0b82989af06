"""Drain a node: it takes no further instances, and works on what it has until that has gone out.

An operator asks for it by a file in the storage folder, which the running node looks at. It holds
until the operator takes it back, or the node is started again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from dicom_node.health import Health
from dicom_node.logs import log
from storage.files.disk import naming

DRAINING = "draining"  #: name of the file in the storage folder
FOR_THE_NODE = 0o644  #: mode of the file: the node may be another user; its folder keeps others out
PART = "reception"  #: in the condition of the node


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainRequest:
    """Who asked for it, and when (ISO 8601 with a zone)."""

    by: str
    at: str


UNREADABLE = DrainRequest(by="a request that cannot be read", at="an unknown time")


def _name(receiver: str) -> str:
    """Name the file for a receiver that shares the folder, or for the node."""
    return f"{DRAINING}-{receiver}" if receiver else DRAINING


def request_drain(folder: Path, by: str, now: datetime, receiver: str = "") -> None:
    """Ask the running node, or a receiver of that name, to take nothing further.

    Raises
    ------
    OSError
        If the storage folder cannot be written.
    """
    file, temporary = folder / _name(receiver), folder / f".{_name(receiver)}"
    request = DrainRequest(by=by, at=now.isoformat(timespec="seconds"))
    with naming(file, temporary):
        temporary.write_text(json.dumps(asdict(request)), encoding="utf-8")
        temporary.chmod(FOR_THE_NODE)
        temporary.replace(file)


def end_drain(folder: Path, receiver: str = "") -> bool:
    """Take the request back; False if there was none."""
    try:
        (folder / _name(receiver)).unlink()
    except FileNotFoundError:
        return False
    return True


def drain_request(folder: Path, receiver: str = "") -> DrainRequest | None:
    """Read the request; None if there is none. One that cannot be read is `UNREADABLE`."""
    try:
        return DrainRequest(**json.loads((folder / _name(receiver)).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        return UNREADABLE


class Drain:
    """Looks whether the node is to take nothing further; a start ends what was asked before."""

    def __init__(self, folder: Path, health: Health, receiver: str = "") -> None:
        self._folder, self._health, self._receiver = folder, health, receiver
        self.reason = ""  #: why nothing is taken; empty while it is
        end_drain(folder, receiver)

    def look(self) -> None:
        """Look once, and tell the condition of the node."""
        request = drain_request(self._folder, self._receiver)
        before = self.reason
        self.reason = f"drained by {request.by} since {request.at}" if request else ""
        if self.reason:
            self._health.fault(PART, f"instances are refused: {self.reason}", receiving=False)
        if self.reason and not before:
            log.info("drain_begun", by=request.by if request else "")
        if before and not self.reason:
            self._health.well(PART)
            log.info("drain_ended")
