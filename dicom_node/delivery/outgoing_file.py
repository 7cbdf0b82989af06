"""A Part 10 file to be sent, with the presentation contexts in which it can be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread

from dicom_node.delivery.encoding.uncompressed import COMPRESSED, syntaxes
from dicom_node.network.file_meta import read_meta


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingFile:
    """One DICOM file to send.

    Attributes
    ----------
    sop_class_uid, transfer_syntax_uid
        Of the file as it is.
    as_kept
        Whether it may be sent compressed, if it is kept so.
    """

    path: Path
    sop_class_uid: str
    transfer_syntax_uid: str
    as_kept: bool = True

    @property
    def syntaxes(self) -> tuple[str, ...]:
        """Transfer syntaxes in which it can be sent, the best first."""
        found = syntaxes(self.transfer_syntax_uid)
        return found if self.as_kept else tuple(uid for uid in found if uid not in COMPRESSED)

    @property
    def contexts(self) -> tuple[tuple[str, str], ...]:
        """Abstract and transfer syntax of each context that will do, the best first."""
        return tuple((self.sop_class_uid, syntax) for syntax in self.syntaxes)

    @classmethod
    def of(cls, path: Path) -> OutgoingFile:
        """Read SOP class and transfer syntax from the file.

        Raises
        ------
        pydicom.errors.InvalidDicomError
            If it is no DICOM file.
        """
        try:
            with path.open("rb", buffering=0) as file:
                meta = read_meta(file)
        except AttributeError:
            return cls._without_meta(path)
        return cls(
            path=path,
            sop_class_uid=meta.sop_class_uid,
            transfer_syntax_uid=meta.transfer_syntax_uid,
        )

    @classmethod
    def _without_meta(cls, path: Path) -> OutgoingFile:
        """Read a file whose File Meta Information leaves something out."""
        ds = dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"])
        sop_class = ds.file_meta.get("MediaStorageSOPClassUID") or ds.get("SOPClassUID", "")
        return cls(
            path=path,
            sop_class_uid=str(sop_class),
            transfer_syntax_uid=str(ds.file_meta.TransferSyntaxUID),
        )
