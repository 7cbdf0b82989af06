"""Run the command `send`: send the DICOM files of a folder to an AE, with a progress bar."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pydicom.errors import InvalidDicomError
from rich.console import Console
from rich.progress import track

from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.store_scu import send
from dicom_node.network.association import Peer


def send_folder(folder: Path, peer: Peer, *, calling_ae: str, console: Console) -> int:
    """Send files and print the outcome; return how many were not accepted."""
    outgoing, others = outgoing_files(folder)
    for path in others:
        console.print(f"left out, not DICOM: {path}", markup=False)
    if not outgoing:
        console.print(f"no DICOM files in {folder}", markup=False)
        return 1
    troubles: Counter[str] = Counter()
    examples: dict[str, Path] = {}
    sent = send(outgoing, peer, calling_ae=calling_ae)
    for file, outcome in track(sent, "sending", total=len(outgoing), console=console):
        if outcome.verdict is not Verdict.ACCEPTED:
            troubles[outcome.detail] += 1
            examples.setdefault(outcome.detail, file.path)
    console.print(
        f"{len(outgoing) - troubles.total()} of {len(outgoing)} accepted by {peer.ae_title}",
        markup=False,
    )
    for detail, count in troubles.items():
        console.print(f"{count} not accepted: {detail} (such as {examples[detail]})", markup=False)
    return troubles.total()


def outgoing_files(folder: Path) -> tuple[list[OutgoingFile], list[Path]]:
    """Find the files below a folder: those that are DICOM, and the others."""
    outgoing: list[OutgoingFile] = []
    others: list[Path] = []
    paths = [folder] if folder.is_file() else sorted(filter(Path.is_file, folder.rglob("*")))
    for path in paths:
        try:
            outgoing.append(OutgoingFile.of(path))
        except (InvalidDicomError, AttributeError):
            others.append(path)
    return outgoing, others
