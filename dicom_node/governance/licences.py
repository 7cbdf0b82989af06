"""Collect the licences of everything by others that is installed beside this program, or in it."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from importlib.resources import files
from pathlib import Path, PurePath

from dicom_node.roles import PACKAGE

LICENCE_FILE = re.compile(r"(?i)licen[cs]e|copying|notice|authors")
"""What is in the name of a file of metadata that holds a licence."""
LICENCE_ALONE = re.compile(r"(?i)(licen[cs]es?|copying|notice)([-_.].*)?")
"""The name of a file beside the code that holds a licence: of what is built in, often."""
CODE = {".py", ".pyi", ".pyc", ".so", ".h", ".js", ".json", ".css"}  #: endings of other files
LICENCES = "licenses"  #: folder of metadata that holds nothing else (PEP 639)
CLASSIFIER = "License :: "
MOST_WORDS = 100  #: characters of a licence's name; some packages have the whole text there
VENDORED = re.compile(r"(?P<name>[a-z-]+)-(?P<version>[\d.]+)\.min\.js")
VENDORED_LICENCE = "0BSD"  #: of htmx and its extension, as htmx-LICENSE says
UNKNOWN = "not stated"
NOT_STATED = {"", "unknown"}  #: what stands in metadata then, in small letters
RULE = "=" * 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendored:
    """A script by others that comes within this program."""

    name: str
    version: str
    content: bytes


def installed(places: Sequence[str] | None = None) -> dict[str, Distribution]:
    """List the distributions of this environment, this program left out, by their names.

    Of several with one name that which Python imports, the first; what has none, as the rest of an
    update that failed, is left out.

    Parameters
    ----------
    places
        Folders that Python imports from, in their order; None for those of this process.
    """
    found: dict[str, Distribution] = {}
    for one in distributions(path=list(sys.path if places is None else places)):
        if name := _said(one, "Name"):
            found.setdefault(canonical(name), one)
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
    is_name = "\n" not in written and len(written) <= MOST_WORDS
    if is_name and written.lower() not in NOT_STATED:
        return written
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in one.metadata.get_all("Classifier") or ()
        if line.startswith(CLASSIFIER) and line != f"{CLASSIFIER}OSI Approved"
    ]
    return ", ".join(classifiers) or UNKNOWN


def _said(one: Distribution, field: str) -> str:
    """Give a field of the metadata of a distribution; empty if it has none."""
    try:
        said = one.metadata.get_all(field)
    except FileNotFoundError:  # of the package importlib_metadata, once anything has imported it
        return ""
    return str((said or [""])[0]).strip()


def licence_texts(one: Distribution) -> Iterator[tuple[str, str]]:
    """Give path and text of each file of a distribution that holds its licence, or a part's."""
    named = {PurePath(name).parts for name in one.metadata.get_all("License-File") or ()}
    for path in one.files or ():
        if _holds_licence(path.parts, named):
            place = Path(str(path.locate()))
            if place.is_file():
                yield str(path), place.read_text(encoding="utf-8", errors="replace")


def _holds_licence(parts: tuple[str, ...], named: Collection[tuple[str, ...]]) -> bool:
    """Tell by the path of a file; and by those that the metadata names."""
    folder, *inner = parts
    if not folder.endswith((".dist-info", ".egg-info")):
        name = PurePath(parts[-1])
        return LICENCE_ALONE.fullmatch(name.name) is not None and name.suffix not in CODE
    is_named = tuple(inner) in named or inner[:1] == [LICENCES]
    return is_named or LICENCE_FILE.search(parts[-1]) is not None


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
