"""Collect the licences of everything by others that is installed beside this program, or in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from importlib.resources import files
from pathlib import Path

from dicom_node.roles import PACKAGE

LICENCE_FILE = re.compile(r"(?i)(licen[cs]e|copying|notice|authors)\b.*")
CLASSIFIER = "License :: "
MOST_WORDS = 100  #: characters of a licence's name; some packages have the whole text there
VENDORED = re.compile(r"(?P<name>[a-z-]+)-(?P<version>[\d.]+)\.min\.js")
VENDORED_LICENCE = "0BSD"  #: of htmx and its extension, as htmx-LICENSE says
UNKNOWN = "not stated"
RULE = "=" * 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendored:
    """A script by others that comes within this program."""

    name: str
    version: str
    content: bytes


def installed() -> dict[str, Distribution]:
    """List the distributions of this environment, this program left out, by their names."""
    found = {canonical(one.metadata["Name"]): one for one in distributions()}
    found.pop(PACKAGE, None)
    return dict(sorted(found.items()))


def canonical(name: str) -> str:
    """Write the name of a distribution as all its spellings are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licence_of(one: Distribution) -> str:
    """Say the licence of a distribution: an SPDX expression where it has one, else a name."""
    if expression := _said(one, "License-Expression"):
        return expression
    written = _said(one, "License")
    if written and "\n" not in written and len(written) <= MOST_WORDS:
        return written
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in one.metadata.get_all("Classifier") or ()
        if line.startswith(CLASSIFIER) and line != f"{CLASSIFIER}OSI Approved"
    ]
    return ", ".join(classifiers) or UNKNOWN


def _said(one: Distribution, field: str) -> str:
    """Give a field of the metadata of a distribution; empty if it has none."""
    return str((one.metadata.get_all(field) or [""])[0]).strip()


def licence_texts(one: Distribution) -> Iterator[tuple[str, str]]:
    """Give name and text of each file of a distribution that holds its licence."""
    for path in one.files or ():
        is_metadata = any(part.endswith((".dist-info", ".egg-info")) for part in path.parts)
        if is_metadata and LICENCE_FILE.fullmatch(path.name):
            place = Path(str(path.locate()))
            if place.is_file():
                yield path.name, place.read_text(encoding="utf-8", errors="replace")


def vendored() -> list[Vendored]:
    """List the scripts by others within this program: those of the console."""
    static = files("dicom_node").joinpath("console", "static")
    found = [
        Vendored(name=name["name"], version=name["version"], content=file.read_bytes())
        for file in static.iterdir()
        if (name := VENDORED.fullmatch(file.name))
    ]
    return sorted(found, key=lambda one: one.name)


def licences_text() -> str:
    """Write all licences, one after another: the name of each thing, and the texts it brings."""
    return "\n".join(_parts())


def _parts() -> Iterator[str]:
    yield f"Licences of what is installed beside {PACKAGE}, and of scripts within it.\n"
    static = files("dicom_node").joinpath("console", "static")
    for script in vendored():
        yield f"{RULE}\n{script.name} {script.version}: {VENDORED_LICENCE}\n{RULE}"
        yield static.joinpath("htmx-LICENSE").read_text(encoding="utf-8")
    for name, one in installed().items():
        yield f"{RULE}\n{name} {one.version}: {licence_of(one)}\n{RULE}"
        texts = list(licence_texts(one))
        if not texts:
            yield f"It brings no text. {_said(one, 'Home-page')}\n"
        for file, text in texts:
            yield f"--- {file}\n{text}"
