"""Read and check the INI file; all of its faults are raised as one error."""

from __future__ import annotations

import difflib
import os
import re
import stat
from collections.abc import Iterable
from configparser import ConfigParser
from configparser import Error as IniError
from pathlib import Path
from urllib.parse import unquote

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from config.destinations import (
    KINDS,
    Destination,
    DicomDestination,
    FhirDestination,
    Hl7Destination,
    WebDestination,
)
from config.errors import Fault, SettingsError
from config.settings import DATABASE, LogSettings, Settings
from config.value_types import Section

SECTIONS: dict[str, type[Section]] = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
}
DESTINATIONS: dict[str, type[Destination]] = {
    "dicom": DicomDestination,
    "web": WebDestination,
    "hl7": Hl7Destination,
    "fhir": FhirDestination,
}
DESTINATION = "destination "  #: start of the title of a destination's section
Place = tuple[str, str]
"""Section and key; an empty key is the whole section."""

MAXIMUM_BYTES = 1 << 20  #: of an INI file; all settings with their comments are 30,000
BYTE_ORDER_MARK = "\ufeff"  #: some editors begin a file with it


def load(path: Path) -> Settings:
    """Read and check an INI file.

    Keys that are absent have their defaults. Relative paths start at the file's folder.

    Raises
    ------
    SettingsError
        With every fault: unknown sections and keys, invalid values, a file that cannot be read.
    """
    return settings_in(read_text(path), path)


def settings_in(text: str, path: Path) -> Settings:
    """Read and check the text of an INI file.

    Parameters
    ----------
    path
        Of the file that it is, or is to become.

    Raises
    ------
    SettingsError
        As `load`.
    """
    parser = parsed(text, path.name)
    receivers = [title for title in parser.sections() if title.startswith(DESTINATION)]
    values: dict[str, object] = {name: _items(parser, name) for name in SECTIONS}
    values["destinations"] = [
        _items(parser, title) | {"name": receiver_in(title)} for title in receivers
    ]
    faults = [*_unknown_sections(parser), *_repeated(receivers)]
    try:
        settings = Settings.model_validate(values, context={"folder": path.resolve().parent})
    except ValidationError as error:
        faults += [_fault(detail, receivers) for detail in error.errors(include_url=False)]
        raise SettingsError(tuple(faults)) from None  # pydantic's text would repeat the values
    faults += _log_in_another(settings, path)
    if faults:
        raise SettingsError(tuple(faults))
    return settings


def _log_in_another(settings: Settings, ini: Path) -> list[Fault]:
    """Find a log that would be appended to the INI file, the database, or what else is named."""
    if settings.log.file is None:
        return []
    named = [
        value
        for _, section in settings
        for one in (section if isinstance(section, tuple) else (section,))
        if not isinstance(one, LogSettings)
        for _, value in one
        if isinstance(value, Path)
    ]
    _, is_file, database = settings.storage.database_url.partition("sqlite:///")
    named += [ini, Path(unquote(database)) if is_file else settings.storage.folder / DATABASE]
    if settings.log.file.resolve() not in {one.resolve() for one in named}:
        return []
    got = str(settings.log.file)
    return [Fault(section="log", key="file", expected="a file of its own", got=got)]


def load_storage(path: Path) -> Settings:
    """Read the section [storage] alone, where others are faulty; they have their defaults.

    Raises
    ------
    SettingsError
        If that section is faulty as well.
    """
    found = re.search(r"(?ms)^\[storage\].*?(?=^\[|\Z)", read_text(path))
    return settings_in(found.group() if found else "", path)


def read_text(path: Path) -> str:
    """Read the text of an INI file as it is, line ends included.

    Raises
    ------
    SettingsError
        If it cannot be read, or is not UTF-8.
    """
    try:
        return _read(path).decode("utf-8")
    except OSError as error:
        raise _unusable("a readable file", f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _unusable("UTF-8 text", f"{path}: {error.reason} at byte {error.start}") from error


def _read(path: Path) -> bytes:
    """Read a file that is one, and no longer than settings are; it never waits for a writer.

    Raises
    ------
    OSError
        If it cannot be read.
    SettingsError
        If it is something else, or longer.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise _unusable("a file", f"{path}: something else")
        content = file.read(MAXIMUM_BYTES + 1)
    if len(content) > MAXIMUM_BYTES:
        raise _unusable(f"a file of at most {MAXIMUM_BYTES} bytes", f"{path}: a longer one")
    return content


def parsed(text: str, name: str) -> ConfigParser:
    """Parse sections and keys as text; a file that is no INI file is one fault.

    Raises
    ------
    SettingsError
        If it is none.
    """
    # No title can hold a line end: [DEFAULT] is an unknown section like any other.
    parser = ConfigParser(interpolation=None, default_section="\n", empty_lines_in_values=False)
    lines = text.removeprefix(BYTE_ORDER_MARK).replace("\r\n", "\n").replace("\r", "\n")
    try:
        parser.read_string(lines, source=name)
    except IniError as error:
        raise _unusable("an INI file", " ".join(str(error).split())) from error
    return parser


def values_in(parser: ConfigParser) -> dict[Place, str]:
    """List all values by place; sections are listed as well, with an empty key."""
    values: dict[Place, str] = {}
    for title in parser.sections():
        name = name_of(title)
        values[name, ""] = ""
        values |= {(name, key): value for key, value in parser.items(title)}
    return values


def holds_values(text: str) -> bool:
    """Say whether a text has any key; one of comments only has none.

    Raises
    ------
    SettingsError
        If it is no INI file.
    """
    return any(key for _, key in values_in(parsed(text, "settings")))


def name_of(title: str) -> str:
    """Name a section; titles of destinations may have blanks that mean nothing."""
    return f"{DESTINATION}{receiver_in(title)}" if title.startswith(DESTINATION) else title


def _unusable(expected: str, got: str) -> SettingsError:
    return SettingsError((Fault(section="", key="", expected=expected, got=got),))


def _items(parser: ConfigParser, title: str) -> dict[str, str]:
    return dict(parser.items(title)) if parser.has_section(title) else {}


def receiver_in(title: str) -> str:
    """Extract the NAME of ``[destination NAME]``."""
    return title.removeprefix(DESTINATION).strip()


def _unknown_sections(parser: ConfigParser) -> list[Fault]:
    known = [*SECTIONS, "destination NAME"]
    return [
        Fault(section=title, key="", expected=f"one of {', '.join(known)}", got=title)
        for title in parser.sections()
        if title not in SECTIONS and not title.startswith(DESTINATION)
    ]


def _repeated(receivers: Iterable[str]) -> list[Fault]:
    """List destinations named twice: titles that differ only in blanks name the same one."""
    names = [receiver_in(title) for title in receivers]
    return [
        Fault(section=f"{DESTINATION}{name}", key="", expected="one such section", got="several")
        for name in sorted(set(names))
        if names.count(name) > 1
    ]


def _fault(detail: ErrorDetails, receivers: list[str]) -> Fault:
    """Translate an error of pydantic into section and key of the INI file."""
    place = [str(part) for part in detail["loc"]]
    section, *rest = place
    model = SECTIONS.get(section, Destination)
    if section == "destinations":
        section, kind, *rest = receivers[int(rest[0])], *rest[1:]
        model = DESTINATIONS[kind]
    key = rest[0] if rest and rest[0] != "name" else ""
    return Fault(
        section=section, key=key, expected=_expected(detail, model, key), got=_got(detail, key)
    )


def _expected(detail: ErrorDetails, model: type[Section], key: str) -> str:
    if detail["type"] == "extra_forbidden":
        if model in DESTINATIONS.values() and key in _keys_of_any_kind():
            return f"either {', '.join(KINDS)} or an AE title, host and port, each with its keys"
        near = difflib.get_close_matches(key, model.model_fields, n=1)
        return f"a known key (did you mean {near[0]}?)" if near else "a known key"
    if detail["type"] == "missing":
        return "a value"
    if detail["type"] == "string_pattern_mismatch":
        return "a NAME of letters, digits, '-' and '_'"
    return re.sub(r"^(Value error, |Input should be )", "", detail["msg"])


def _keys_of_any_kind() -> set[str]:
    return {key for model in DESTINATIONS.values() for key in model.model_fields}


def _got(detail: ErrorDetails, key: str) -> str:
    """Show the value found, without passwords."""
    if detail["type"] in {"missing", "extra_forbidden"}:
        return "none" if detail["type"] == "missing" else key
    if key == "database_url":
        return "something else"
    return re.sub(r"//.*@", "//***@", repr(detail["input"]))
