"""Run the command `send`: send the DICOM files of a folder to an AE, with a progress bar."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom.errors import InvalidDicomError
from rich.console import Console
from rich.progress import track

from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.store_scu import send
from dicom_node.network.association import Peer


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAccepted:
    """Files that were not accepted for one reason: how many, and one of them."""

    detail: str
    files: int
    example: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SentFolder:
    """What became of the files of a folder.

    Attributes
    ----------
    files, accepted
        Numbers of those that are DICOM, and of those that the AE took.
    left_out
        Those that are not DICOM.
    """

    folder: Path
    to: str
    files: int
    accepted: int
    not_accepted: tuple[NotAccepted, ...]
    left_out: tuple[Path, ...]

    @property
    def is_whole(self) -> bool:
        """Whether there was something to send, and all of it was accepted."""
        return 0 < self.files == self.accepted

    def words(self) -> Iterator[str]:
        """Say it, a line each."""
        for path in self.left_out:
            yield f"left out, not DICOM: {path}"
        if not self.files:
            yield f"no DICOM files in {self.folder}"
            return
        yield f"{self.accepted} of {self.files} accepted by {self.to}"
        for one in self.not_accepted:
            yield f"{one.files} not accepted: {one.detail} (such as {one.example})"


def send_folder(folder: Path, peer: Peer, *, calling_ae: str, console: Console) -> SentFolder:
    """Send the files of a folder, with a progress bar on a console."""
    outgoing, others = outgoing_files(folder)
    troubles: Counter[str] = Counter()
    examples: dict[str, Path] = {}
    sent = send(outgoing, peer, calling_ae=calling_ae)
    for file, outcome in track(
        sent, "sending", total=len(outgoing), console=console, disable=not outgoing
    ):
        if outcome.verdict is not Verdict.ACCEPTED:
            troubles[outcome.detail] += 1
            examples.setdefault(outcome.detail, file.path)
    return SentFolder(
        folder=folder,
        to=peer.ae_title,
        files=len(outgoing),
        accepted=len(outgoing) - troubles.total(),
        not_accepted=tuple(
            NotAccepted(detail=detail, files=count, example=examples[detail])
            for detail, count in troubles.items()
        ),
        left_out=tuple(others),
    )


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
