"""Pack what an audit asks for into one file: made of parts, each with its digest.

What cannot be read is replaced by the reason, and said: a pack can be made whatever is broken.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from dicom_node.governance.new_file import new_file

README = "README.txt"
SUMS = "SHA256SUMS"

Part = Callable[[], Iterable[bytes]]
"""Reads a part, some bytes at a time."""

EXPLAINED: Mapping[str, str] = {
    "sbom.cdx.json": "Software bill of materials (CycloneDX 1.6): all that is installed.",
    "licences.txt": "Licences of all of it.",
    "models.json": "Models that have made results: when, how many, with which thresholds; cards.",
    "decisions.jsonl": "The log of decisions, as it is: each line names the SHA-256 of the one"
    " before.",
    "decisions-verified.json": "Its head, and whether any line was changed.",
    "settings.json": "Settings that count now; without secrets.",
    "settings-history.json": "Who changed which of them when, from what to what.",
    "changes.json": "Who did what by console or command line: users, destinations, thresholds.",
    "results.csv": "Every result without identity: study, equipment, protocol, result, agreement.",
    "results.json": "The same as JSON.",
    "self-tests.json": "The latest self-tests.",
    "scanners.json": "Scanners, and changes of them that nobody has accepted.",
    "support.zip": "Condition, findings, metrics and log, for whoever helps: without patients.",
}
"""Parts of a pack in their order, and what each is."""


@contextmanager
def new_zip(file: Path) -> Iterator[zipfile.ZipFile]:
    """Begin a zip file; it is there when the block ends. Raises as `new_file`."""
    with (
        new_file(file) as stream,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as bundle,
    ):
        yield bundle


def make_pack(
    file: Path, parts: Mapping[str, Part], now: datetime, about: Mapping[str, str]
) -> dict[str, str]:
    """Write the pack.

    Parameters
    ----------
    parts
        What reads each of `EXPLAINED`.
    about
        What the pack is of, for its first lines.

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
    sums, faults = dict[str, str](), dict[str, str]()
    with new_zip(file) as bundle:
        for name in EXPLAINED:
            entry = zipfile.ZipInfo(name, now.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            sums[name], faults[name] = _write(bundle, entry, parts[name])
        readme = _readme(now, about, faults)
        bundle.writestr(README, readme)
        sums[README] = hashlib.sha256(readme.encode()).hexdigest()
        bundle.writestr(SUMS, "".join(f"{digest}  {name}\n" for name, digest in sums.items()))
    return faults


def _write(bundle: zipfile.ZipFile, entry: zipfile.ZipInfo, read: Part) -> tuple[str, str]:
    """Write a part; return its SHA-256, and why it could not be read as a whole."""
    summed, fault = hashlib.sha256(), ""
    with bundle.open(entry, "w", force_zip64=True) as stream:
        for piece in _read(read):
            if isinstance(piece, str):
                fault = piece
            data = piece if isinstance(piece, bytes) else f"\ncannot be read: {fault}\n".encode()
            summed.update(data)
            stream.write(data)
    return summed.hexdigest(), fault


def _read(read: Part) -> Iterator[bytes | str]:
    """Yield the pieces of a part, and last why it could not be read as a whole, if so.

    Only reading: where the pack itself cannot be written, there is none.
    """
    try:
        yield from read()
    except Exception as broken:  # noqa: BLE001  # an audit of what works must not fail by it
        yield f"{type(broken).__name__}: {broken}"


def _readme(now: datetime, about: Mapping[str, str], faults: Mapping[str, str]) -> str:
    lines = [f"Governance pack of dicom-node, {now:%Y-%m-%d %H:%M} UTC", ""]
    lines += [f"{name}: {value}" for name, value in about.items()]
    lines += ["", "It holds no patient, no UID of a study or series, and no secret.", ""]
    for name, what in EXPLAINED.items():
        lines.append(f"{name}\n    {what}")
        if faults[name]:
            lines.append(f"    NOT WHOLE: {faults[name]}")
    lines += [
        "",
        f"To verify the parts: unzip, then `sha256sum --check {SUMS}`.",
        "To verify the log of decisions without this program: the SHA-256 of each line, its end",
        'left out, is what the next line has as "before"; the first has 64 zeros.',
        "",
    ]
    return "\n".join(lines)
