"""Write the INI file whole or not at all, and keep what it was before, with who, when and what.

Copies are in a folder beside the file: NNNNNN-TIME.ini, the text as it was, and NNNNNN-TIME.json,
what was made of it. A copy may hold a secret, so it is for its owner alone, who is the INI file's,
whoever runs the command; a record holds none.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from config.errors import Fault, SettingsChanged, SettingsError
from config.reader import (
    DESTINATION,
    DESTINATIONS,
    SECTIONS,
    Place,
    holds_values,
    parsed,
    read_text,
    settings_in,
    values_in,
)
from config.whole_file import alone_in, sync_folder, write_file

FOLDER_ENDING = ".versions"
UNDER_WAY = ".new"  #: name of a copy until it is whole
BY_HAND = "an editor"  #: who changed the file, where it is not known
VERSION_NAME = re.compile(r"(?P<number>\d{6})-(?P<time>\d{8}T\d{6}Z)\.ini")

Step = Callable[[str], None]
"""Is told of each step towards the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One key that was changed; of a secret the name alone.

    Attributes
    ----------
    old, new
        The text of the value; None where there was, or is, none.
    """

    section: str
    key: str
    old: str | None
    new: str | None
    secret: bool = False

    def __str__(self) -> str:
        what = f"[{self.section}] {self.key}"
        if self.secret:
            return f"{what} (not shown)"
        old, new = ("(default)" if text is None else text for text in (self.old, self.new))
        return f"{what}: {old} -> {new}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A kept copy of the INI file, and the change that ended it.

    A record is written before its change: after a crash it may tell of one that did not come about.

    Attributes
    ----------
    path
        Of the copy.
    by
        Who made the change; `BY_HAND` where that is not known.
    after
        Digest of the text that followed.
    before
        Digest of the copy; empty where that is not known.
    """

    number: int
    path: Path
    by: str
    at: datetime
    after: str
    changes: tuple[Change, ...]
    before: str = ""


def digest(text: str) -> str:
    """Digest of a text, by which it is known again."""
    return hashlib.sha256(text.encode()).hexdigest()


def write_settings(
    path: Path,
    text: str,
    *,
    expected_digest: str,
    by: str,
    at: datetime,
    step: Step = lambda name: None,
) -> Version | None:
    """Check a text, keep a copy of what the INI file holds now, and put the text in its place.

    Mode and owner of the file stay. A crash leaves the old file or the new one.

    Parameters
    ----------
    expected_digest
        Of the text that the change began with.
    by, at
        Who changes it, and when (timezone-aware).

    Returns
    -------
    Version
        The copy; None if the file holds this text already.

    Raises
    ------
    SettingsChanged
        If the file does not hold what the change began with any more.
    SettingsError
        If the new text is faulty, or the file cannot be read.
    OSError
        If it cannot be written.
    """
    path = path.resolve()
    settings_in(text, path)
    with alone_in(folder_of(path), path.stat()):
        current = read_text(path)
        if digest(current) != expected_digest:
            raise _changed(path)
        if current == text:
            return None
        beside = path.with_name(f".{path.name}.new")
        kept: list[Version] = []
        try:
            write_file(beside, text.encode(), like=path.stat())
            step("written")
            kept.append(_keep(path, current, text, by=by, at=at))
            step("kept")
            if digest(read_text(path)) != expected_digest:
                raise _changed(path)
            beside.replace(path)
        except (OSError, SettingsError):
            _remove(beside, *(file for version in kept for file in _files(version.path)))
            raise
        step("replaced")
        sync_folder(path.parent)
    return kept[0]


def versions(path: Path) -> tuple[Version, ...]:
    """List the copies of an INI file that are kept, the oldest first.

    Raises
    ------
    OSError
        If they cannot be read: only a folder that is not there has none.
    """
    folder = folder_of(path)
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208  # Path.glob takes unreadable for empty
    except FileNotFoundError:
        return ()
    return tuple(version for name in names if (version := _read_version(folder / name)) is not None)


def restore(
    path: Path, version: Version, *, expected_digest: str = "", by: str, at: datetime
) -> Version | None:
    """Put a copy in the place of the INI file, which is kept in turn.

    Returns and raises as `write_settings`; a copy that is not what was kept is a `SettingsError`.

    Parameters
    ----------
    expected_digest
        Of the text that is to be replaced; empty for whatever is there now.
    """
    current, text = expected_digest or digest(read_text(path)), read_text(version.path)
    if not holds_values(text) or version.before not in {"", digest(text)}:
        expected, got = "the settings that were kept", f"{version.path.name}, which is damaged"
        raise SettingsError((Fault(section="", key="", expected=expected, got=got),))
    return write_settings(path, text, expected_digest=current, by=by, at=at)


def keep_edited(path: Path, before: str, after: str, *, at: datetime) -> Version | None:
    """Keep what an INI file was before it was changed by hand; None if that is kept already.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    path = path.resolve()
    with alone_in(folder_of(path), path.stat()):
        latest = [version.after for version in versions(path)[-1:]]
        return None if digest(after) in latest else _keep(path, before, after, by=BY_HAND, at=at)


def folder_of(path: Path) -> Path:
    """Folder of the copies of an INI file."""
    real = path.resolve()
    return real.with_name(f"{real.name}{FOLDER_ENDING}")


def changes_between(old: str, new: str) -> tuple[Change, ...]:
    """List the keys whose values differ between two texts; an unreadable one has none."""
    before, after = _values(old), _values(new)
    return tuple(
        _change(place, before.get(place), after.get(place))
        for place in sorted(before.keys() | after.keys())
        if before.get(place) != after.get(place) and place[1]
    )


def _values(text: str) -> Mapping[Place, str]:
    with suppress(SettingsError):
        return values_in(parsed(text, "settings"))
    return {}


def _change(place: Place, old: str | None, new: str | None) -> Change:
    section, key = place
    if not _may_be_shown(section, key):
        return Change(section=section, key=key, old=None, new=None, secret=True)
    return Change(section=section, key=key, old=old, new=new)


def _may_be_shown(section: str, key: str) -> bool:
    """Say whether a value may be shown: of a key that is known, and marked as no secret."""
    if section.startswith(DESTINATION):
        return any(key in model.model_fields for model in DESTINATIONS.values())
    field = SECTIONS[section].model_fields.get(key) if section in SECTIONS else None
    return field is not None and field.repr


def _changed(path: Path) -> SettingsChanged:
    expected = "the text that the change began with"
    got = f"another one: somebody has changed {path.name} meanwhile; nothing was written"
    return SettingsChanged((Fault(section="", key="", expected=expected, got=got),))


def _keep(path: Path, text: str, new: str, *, by: str, at: datetime) -> Version:
    """Keep a copy, and the record of what is made of it."""
    folder = folder_of(path)
    number = max((version.number for version in versions(path)), default=0) + 1
    copy = folder / f"{number:06d}-{at.astimezone(UTC):%Y%m%dT%H%M%SZ}.ini"
    version = Version(
        number=number,
        path=copy,
        by=by,
        at=at,
        after=digest(new),
        changes=changes_between(text, new),
        before=digest(text),
    )
    record = {name: value for name, value in asdict(version).items() if name != "path"}
    encoded = json.dumps(record | {"at": at.isoformat()}, ensure_ascii=False, indent=1)
    beside, owner = folder / UNDER_WAY, path.stat()
    try:
        write_file(copy.with_suffix(".json"), encoded.encode(), owner=owner)
        write_file(beside, text.encode(), owner=owner)
        beside.replace(copy)
        sync_folder(folder)
    except OSError:
        _remove(beside, *_files(copy))
        raise
    return version


def _read_version(copy: Path) -> Version | None:
    """Read what is known of a copy; None of a file that is none.

    Raises
    ------
    OSError
        If its record is there and cannot be read.
    """
    named = VERSION_NAME.fullmatch(copy.name)
    if named is None:
        return None
    number = int(named["number"])
    try:
        record = json.loads(copy.with_suffix(".json").read_bytes())
        return Version(
            number=number,
            path=copy,
            by=record["by"],
            at=datetime.fromisoformat(record["at"]),
            after=record["after"],
            changes=tuple(Change(**change) for change in record["changes"]),
            before=record.get("before", ""),
        )
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        at = datetime.strptime(named["time"], "%Y%m%dT%H%M%S%z")
        return Version(number=number, path=copy, by=BY_HAND, at=at, after="", changes=())


def _files(copy: Path) -> tuple[Path, Path]:
    """Name the copy and its record."""
    return copy, copy.with_suffix(".json")


def _remove(*files: Path) -> None:
    """Remove what a change leaves that did not come about, as far as that can be done."""
    for file in files:
        with suppress(OSError):
            file.unlink(missing_ok=True)
