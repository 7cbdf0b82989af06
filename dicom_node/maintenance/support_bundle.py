"""Pack what helps to find a fault, and nothing of a patient, into one file to be passed on.

UIDs are replaced by words that stay the same within one bundle and mean nothing outside of it;
secrets are left out. What cannot be read is replaced by the reason, so a bundle can be made
whatever is broken.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from config.settings import Settings
from dicom_node.governance.licences import installed
from dicom_node.governance.pack import new_zip
from dicom_node.health import read_condition
from pipeline.model.manifest import BUNDLED, read_manifest

LOG_BYTES = 20_000_000  #: of the end of the log
LEFT_OUT = "(left out)"
PEOPLE = frozenset({"user"})  #: keys of settings whose values name somebody
UID = re.compile(r"(?<![\d.])(?:[0-2](?:\.\d+){4,}|2\.25\.\d{9,})(?!\d|\.\d)")
"""What may be a UID: four dots and more, so that addresses and versions stay, or made of a UUID
(PS3.5 B.2)."""
LOGIN = re.compile(r"(?<=://)[^/@\s]*@")  #: user and password in a URL
BY = re.compile(r'("by": "|drained by )[^"\n]*?(?="| since )')  #: who did something


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Words for UIDs, of one bundle."""

    salt: bytes = field(default_factory=lambda: secrets.token_bytes(16))

    def of(self, text: str) -> str:
        """Replace every UID of a text; leave out what logs in by a URL, and names of people."""
        named = UID.sub(self._word, LOGIN.sub("", text))
        return BY.sub(rf"\1{LEFT_OUT}", named)

    def _word(self, found: re.Match[str]) -> str:
        digest = hashlib.blake2b(found[0].encode(), key=self.salt, digest_size=5)
        return f"uid-{digest.hexdigest()}"


def make_bundle(
    file: Path, parts: Mapping[str, Callable[[], object]], *, to_json: Callable[[object], str]
) -> dict[str, str]:
    """Write the bundle, a zip file that must not be there yet.

    Parameters
    ----------
    parts
        Reads each part, by its name: text, or what `to_json` can write.
    to_json
        Writes any value of the node as JSON.

    Returns
    -------
    dict
        Name of each part, and why it could not be read; empty where it could.

    Raises
    ------
    NodeError
        If the file is there.
    OSError
        If it cannot be written.
    """
    words, faults = Pseudonyms(), {}
    with new_zip(file) as bundle:
        for name, read in parts.items():
            try:
                value, faults[name] = read(), ""
            except Exception as fault:  # noqa: BLE001  # whatever is broken is what it is about
                faults[name] = f"{type(fault).__name__}: {fault}"
                value = faults[name]
            text = value if isinstance(value, str) else to_json(value)
            bundle.writestr(name, words.of(text))
    return faults


def parts_without_database(settings: Settings, now: datetime) -> dict[str, Callable[[], object]]:
    """Name the parts that need no database, and what reads them."""
    return {
        "about.json": lambda: _about(settings, now),
        "settings.json": lambda: effective(settings),
        "condition.json": lambda: read_condition(settings.storage.folder),
        "log.txt": lambda: _end_of_log(settings.log.file),
    }


def _about(settings: Settings, now: datetime) -> dict[str, object]:
    chosen = settings.analysis.model
    manifest, sha256 = read_manifest(chosen if isinstance(chosen, Path) else BUNDLED)
    return {
        "made": now,
        "version": version("dicom-node"),
        "model": {"name": manifest.name, "version": manifest.version, "sha256": sha256},
        "python": sys.version,
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "packages": {name: one.version for name, one in installed().items()},
    }


def effective(settings: Settings) -> dict[str, object]:
    """Values of all keys, defaults too; those that are not to be shown are left out."""
    return {name: _shown(getattr(settings, name)) for name in type(settings).model_fields}


def _shown(value: object) -> object:
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return {name: _value(value, name, one) for name, one in fields.items()}
    if isinstance(value, tuple):
        return [_shown(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def _value(section: BaseModel, name: str, key: FieldInfo) -> object:
    found = getattr(section, name)
    is_shown = key.repr and name not in PEOPLE
    return _shown(found) if is_shown or not found else LEFT_OUT


def _end_of_log(file: Path | None) -> str:
    if file is None:
        return "the log goes to standard error: journalctl has it, or whoever started the node"
    with file.open("rb") as stream:
        start = max(0, file.stat().st_size - LOG_BYTES)
        stream.seek(start)
        if start:
            stream.readline()  # a part of a line may hold a part of a UID
        return stream.read(LOG_BYTES).decode("utf-8", "replace")
