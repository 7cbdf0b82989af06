"""Layout of the stored values of an instance, checked before anything is allocated."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom import Dataset
from pydicom.uid import UID, AllTransferSyntaxes

from pipeline.errors import UnsuitableSeries
from pipeline.reasons import UnsuitableReason
from pipeline.series.attributes import code, integer, optional_integer, text

MAX_SIDE = 4096  #: rows or columns; CT reconstructs 512 to 2048
BITS_ALLOCATED = (8, 16)
MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
"""Of CT (PS3.3 C.8.2.1.1.2); both mean the same stored values, shown otherwise."""
MAX_CODE = 16  #: characters of a Code String that are repeated, PS3.5 6.2


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelLayout:
    """Layout of the stored values of one instance (PS3.3 C.7.6.3).

    Attributes
    ----------
    signed
        Whether stored values are two's complement.
    """

    sop_instance_uid: str
    transfer_syntax: UID
    rows: int
    columns: int
    frames: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool

    @classmethod
    def of(cls, dataset: Dataset) -> PixelLayout:
        """Layout of a dataset as ``dcmread`` gives it.

        Raises
        ------
        UnsuitableSeries
            ``missing-attribute``, or ``pixel-data`` if a value is not one a CT image can have.
        """
        allocated = integer(dataset, "BitsAllocated")
        stored = integer(dataset, "BitsStored", allocated)
        layout = cls(
            sop_instance_uid=text(dataset, "SOPInstanceUID"),
            transfer_syntax=_transfer_syntax(dataset),
            rows=integer(dataset, "Rows"),
            columns=integer(dataset, "Columns"),
            frames=1 if (frames := optional_integer(dataset, "NumberOfFrames")) is None else frames,
            bits_allocated=allocated,
            bits_stored=stored,
            high_bit=integer(dataset, "HighBit", stored - 1),
            signed=integer(dataset, "PixelRepresentation", 0) == 1,
        )
        layout._check(integer(dataset, "SamplesPerPixel", 1))
        layout._check_photometric(code(dataset, "PhotometricInterpretation"))
        return layout

    def _check(self, samples: int) -> None:
        for name, value, low, high in (
            ("Samples per Pixel", samples, 1, 1),
            ("Rows", self.rows, 1, MAX_SIDE),
            ("Columns", self.columns, 1, MAX_SIDE),
            ("Number of Frames", self.frames, 1, 2**31 - 1),
            ("Bits Stored", self.bits_stored, 1, self.bits_allocated),
            ("High Bit", self.high_bit, self.bits_stored - 1, self.bits_allocated - 1),
        ):
            if not low <= value <= high:
                raise self.refusal(f"{name} of {low} to {high} expected, got {value}")
        if self.bits_allocated not in BITS_ALLOCATED:
            raise self.refusal(f"Bits Allocated of 8 or 16 expected, got {self.bits_allocated}")

    def _check_photometric(self, interpretation: str) -> None:
        if interpretation not in {"", *MONOCHROME}:
            raise self.refusal(
                f"Photometric Interpretation of {' or '.join(MONOCHROME)} expected, got"
                f" {interpretation[:MAX_CODE]}"
            )

    @property
    def frame_bytes(self) -> int:
        """Length of one uncompressed frame."""
        return self.rows * self.columns * self.bits_allocated // 8

    def refusal(self, reason: str) -> UnsuitableSeries:
        """Build the error to raise, naming the instance."""
        return UnsuitableSeries(
            UnsuitableReason.PIXEL_DATA, f"{reason} (instance {self.sop_instance_uid})"
        )


def _transfer_syntax(dataset: Dataset) -> UID:
    meta = getattr(dataset, "file_meta", None)
    syntax = text(meta, "TransferSyntaxUID") if meta is not None else ""
    if not syntax:
        raise UnsuitableSeries(
            UnsuitableReason.MISSING_ATTRIBUTE, "TransferSyntaxUID expected, got none"
        )
    if syntax not in AllTransferSyntaxes:
        raise UnsuitableSeries(
            UnsuitableReason.PIXEL_DATA,
            "no decoder could read the image: its transfer syntax is not of the standard",
        )
    return UID(syntax)
