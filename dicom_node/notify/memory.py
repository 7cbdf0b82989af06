"""Remember over restarts who was told what: a small file in the storage folder, no patient data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from dicom_node.notify.decision import Told, ToldMatter
from dicom_node.notify.recipients import Subject
from pipeline.atomic_write import write_whole

FILE = "notify.json"  #: in the storage folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What was told.

    Attributes
    ----------
    since
        Since when events are told: earlier ones are nobody's news.
    told
        By the key of the recipient.
    """

    since: datetime
    told: Mapping[str, Told] = field(default_factory=dict)


def read_memory(folder: Path, now: datetime) -> Memory:
    """Read what was told; a file that is missing, or cannot be read, begins it anew."""
    try:
        values = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return Memory(
            since=datetime.fromisoformat(values["since"]),
            told={key: _told(one) for key, one in values["told"].items()},
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return Memory(since=now)


def _told(values: Mapping[str, Mapping[str, Mapping[str, str]] | str]) -> Told:
    tried_at, matters = values["tried_at"], values["matters"]
    if not isinstance(matters, Mapping) or isinstance(tried_at, Mapping):
        raise TypeError("expected a time and matters")
    return Told(
        tried_at=datetime.fromisoformat(tried_at) if tried_at else None,
        matters={
            key: ToldMatter(
                subject=Subject(one["subject"]),
                text=one["text"],
                lasting=bool(one["lasting"]),
                at=datetime.fromisoformat(one["at"]),
            )
            for key, one in matters.items()
        },
    )


def write_memory(folder: Path, memory: Memory) -> None:
    """Write what was told, whole or not at all.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    text = json.dumps(asdict(memory), default=lambda moment: moment.isoformat(), indent=1)
    write_whole(folder / FILE, text.encode())
