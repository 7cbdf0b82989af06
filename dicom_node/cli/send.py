"""What `dicom-node send` does: every DICOM file of a folder to one AE, with a progress bar."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pydicom.errors import InvalidDicomError
from rich.console import Console
from rich.progress import track

from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.store_scu import Parcel, send
from dicom_node.network.association import Peer


def send_folder(folder: Path, peer: Peer, *, calling_ae: str, console: Console) -> int:
    """Send and say what came of it; return how many files were not accepted."""
    parcels, others = find_parcels(folder)
    for path in others:
        console.print(f"left out, not DICOM: {path}")
    if not parcels:
        console.print(f"no DICOM files in {folder}")
        return 1
    troubles: Counter[str] = Counter()
    examples: dict[str, Path] = {}
    sent = send(parcels, peer, calling_ae=calling_ae)
    for parcel, outcome in track(sent, "sending", total=len(parcels), console=console):
        if outcome.verdict is not Verdict.ACCEPTED:
            troubles[outcome.detail] += 1
            examples.setdefault(outcome.detail, parcel.path)
    console.print(
        f"{len(parcels) - troubles.total()} of {len(parcels)} accepted by {peer.ae_title}"
    )
    for detail, count in troubles.items():
        console.print(f"{count} not accepted: {detail} (such as {examples[detail]})")
    return troubles.total()


def find_parcels(folder: Path) -> tuple[list[Parcel], list[Path]]:
    """Find the DICOM files below a folder, and the others."""
    parcels, others = [], []
    files = [folder] if folder.is_file() else sorted(p for p in folder.rglob("*") if p.is_file())
    for path in files:
        try:
            parcels.append(Parcel.of(path))
        except (InvalidDicomError, AttributeError):
            others.append(path)
    return parcels, others
