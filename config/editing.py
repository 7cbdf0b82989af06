"""Change single values in the text of an INI file: comments, order and all else stay."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as IniError

from configupdater import Comment, ConfigUpdater, Option, Section

from config.errors import Fault, SettingsError
from config.reader import BYTE_ORDER_MARK, Place, name_of, parsed, values_in

Changes = Mapping[Place, str | None]
"""New values; None takes a key, or a section, away: then the default holds."""

VALUE = re.compile(r"[^=:]*[=:][^\S\r\n]*")  #: of a line of the file, all before the value
LINE_END = re.compile(r"\r?\n?\Z")


def changed_text(text: str, changes: Changes) -> str:
    """Change values in the text of an INI file.

    A key that is not there yet follows the comment that shows its default, if there is one. Lines
    of other keys, comments and line ends stay as they are.

    Raises
    ------
    SettingsError
        If the text is no INI file, a value has several lines, or a place has a form in which it
        can be changed by hand only.
    """
    faults = tuple(
        Fault(section=section, key=key, expected="a value of one line", got="several")
        for (section, key), value in changes.items()
        if value is not None and re.search(r"[\r\n]", value)
    )
    if faults:
        raise SettingsError(faults)
    changes = {(name_of(section), key.lower()): value for (section, key), value in changes.items()}
    before = parsed(text, "settings")
    mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
    line_end = "\r\n" if "\r\n" in text else "\n"
    updater = ConfigUpdater(empty_lines_in_values=False)
    try:
        updater.read_string(text.removeprefix(mark))
        for (section, key), value in changes.items():
            _change(updater, section, key, value, line_end)
    except IniError as error:
        raise _by_hand(changes) from error
    changed = f"{mark}{updater}"
    if values_in(parsed(changed, "settings")) != _values_after(before, changes):
        raise _by_hand(changes)
    return changed


def _values_after(before: ConfigParser, changes: Changes) -> dict[Place, str]:
    """Say what the changed text must hold."""
    values = values_in(before)
    for (section, key), value in changes.items():
        if value is not None:
            values |= {(section, ""): "", (section, key): value.strip()}
        elif key:
            values.pop((section, key), None)
        else:
            values = {place: old for place, old in values.items() if place[0] != section}
    return values


def _by_hand(changes: Changes) -> SettingsError:
    got = "a form that has to be changed by hand"
    return SettingsError(
        tuple(
            Fault(section=section, key=key, expected="one line with key and value", got=got)
            for section, key in changes
        )
    )


def _change(updater: ConfigUpdater, name: str, key: str, value: str | None, line_end: str) -> None:
    section = next((one for one in updater.section_blocks() if name_of(one.name) == name), None)
    if section is None and value is not None:
        section = _added_section(updater, name, line_end)
    if section is None:
        return
    if not key:
        _remove_section(section)
        return
    option = section.get(key)
    if option is not None and (value is None or option.value != value.strip()):
        _change_option(option, value, line_end)
    elif option is None and value is not None:
        _add_option(section, key, value.strip(), line_end)


def _added_section(updater: ConfigUpdater, name: str, line_end: str) -> Section:
    """Add a section at the end, behind an empty line."""
    blocks = updater.section_blocks()
    if blocks:
        blocks[-1].add_after.space(1).section(name)
    else:
        updater.add_section(name)
    section = updater[name]
    section.raw_comment = line_end.removesuffix("\n")
    return section


def _remove_section(section: Section) -> None:
    """Remove a section; comments behind its last key may be of the next one, and stay."""
    last = next(reversed(section.option_blocks()), None)
    behind = section.structure[last.container_idx + 1 if last else 0 :] if last else ()
    comments = [line for block in behind if isinstance(block, Comment) for line in block.lines]
    builder = section.add_before
    for line in comments:
        builder.comment(line, line[:1])
    section.detach()


def _change_option(option: Option, value: str | None, line_end: str) -> None:
    """Change a value, or take its line away; comments amid a value of several lines stay."""
    first, *others = option.lines
    comments = [line for line in others if line.lstrip().startswith(("#", ";"))]
    end = LINE_END.search(first)
    kept = VALUE.match(first)
    lines = list[str]()
    if value is not None and kept is not None and end is not None:
        lines = [f"{kept.group().rstrip(chr(13))}{value.strip()}{end.group() or line_end}"]
    option.lines[:] = [*lines, *comments]
    if not option.lines:
        option.detach()


def _add_option(section: Section, key: str, value: str, line_end: str) -> None:
    """Add a key behind its commented default, else behind the last key, else first."""
    options = section.option_blocks()
    first = options[0].lines[0] if options and options[0].lines else ""
    raw_key = first[: len(first) - len(first.lstrip())] + key
    raw_value = value + line_end.removesuffix("\n")
    for comment, number in _defaults(section, key):
        rest = comment.lines[number + 1 :]
        del comment.lines[number + 1 :]
        builder = comment.add_after.option(raw_key, raw_value)
        for line in rest:
            builder.comment(line, line[:1])
        return
    if options:
        options[-1].add_after.option(raw_key, raw_value)
    else:
        section.insert_at(0).option(raw_key, raw_value)


def _defaults(section: Section, key: str) -> Iterator[tuple[Comment, int]]:
    """Find comment lines that show a value of a key."""
    shown = re.compile(rf"\s*[#;]\s*{re.escape(key)}\s*[=:]", re.IGNORECASE)
    for block in section.structure:
        if isinstance(block, Comment):
            for number, line in enumerate(block.lines):
                if shown.match(line):
                    yield block, number
