"""Write and read an analysis before its threshold is applied, to issue results from it again.

A NumPy archive without pickle: three compressed arrays, and everything else as JSON with the
number of its format. What is read equals what was written, to the last bit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

import numpy as np
from numpy.lib import format as npy_format
from numpy.lib.npyio import NpzFile
from pydantic import TypeAdapter, ValidationError

from pipeline.errors import PipelineError
from pipeline.lobar_extent import LobarExtent
from pipeline.low_attenuation import LowAttenuation
from pipeline.types import (
    Analysis,
    Change,
    Classification,
    Doubt,
    Involvement,
    Lesion,
    LungMask,
    Provenance,
    ScanFigures,
)

FASTEST = 1  #: level of deflate: half the time of the usual 6, and 1 MB more a series
FORMAT = 1  #: one more whenever an older reader would misread it
METHOD_BEFORE = 2  #: `pipeline.options.METHOD` of files that do not name theirs


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """Values of an analysis without its arrays; attributes as in `pipeline.types`.

    Attributes
    ----------
    source
        Digest of the instances that it is the analysis of.
    method
        Number of the way from images to findings by which it was made.
    """

    format: int = FORMAT
    source: str
    method: int = METHOD_BEFORE
    lung_method: str
    lung_doubts: tuple[Doubt, ...]
    classification: Classification
    lesions: tuple[Lesion, ...]
    involvement: Involvement
    provenance: Provenance
    flags: tuple[str, ...]
    doubts: tuple[Doubt, ...]
    low_attenuation: LowAttenuation | None = None
    changes: tuple[Change, ...] = ()
    lobar: LobarExtent | None = None
    figures: ScanFigures | None = None


VALUES: TypeAdapter[Values] = TypeAdapter(Values)


def to_bytes(found: Analysis, source: str, method: int) -> bytes:
    """Pack an analysis.

    Parameters
    ----------
    found
        Undecided, as `pipeline.analyse.find` gives it.
    source
        Digest of the instances.
    method
        Number of the way from images to findings, `pipeline.options.METHOD`.
    """
    values = Values(
        source=source,
        method=method,
        lung_method=found.lungs.method,
        lung_doubts=found.lungs.doubts,
        classification=found.classification,
        lesions=found.lesions,
        involvement=found.involvement,
        provenance=found.provenance,
        flags=found.flags,
        doubts=found.doubts,
        low_attenuation=found.low_attenuation,
        changes=found.changes,
        lobar=found.lobar,
        figures=found.figures,
    )
    text = json.dumps(VALUES.dump_python(values, mode="json"), allow_nan=False)
    arrays = {
        "values": np.frombuffer(text.encode(), np.uint8),
        "lungs": found.lungs.labels,
        "activation": found.activation,
        "lesions": found.lesion_labels,
    }
    buffer = BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED, compresslevel=FASTEST) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                npy_format.write_array(member, array, allow_pickle=False)
    return buffer.getvalue()


def read_values(file: Path | BinaryIO) -> Values:
    """Read all but the arrays.

    Raises
    ------
    PipelineError
        If it is no kept analysis, or one of another format.
    OSError
        If the file cannot be read.
    """
    with _opened(file) as archive:
        return _values(archive)


def read(file: Path | BinaryIO) -> tuple[Analysis, str]:
    """Unpack an analysis, and the digest of the instances it belongs to.

    Raises as `read_values`.
    """
    with _opened(file) as archive:
        values = _values(archive)
        try:
            arrays = {name: archive[name] for name in ("lungs", "activation", "lesions")}
        except (KeyError, ValueError, BadZipFile) as fault:
            raise PipelineError("the kept analysis is damaged: an array cannot be read") from fault
    return _analysis(values, arrays), values.source


@contextmanager
def _opened(file: Path | BinaryIO) -> Iterator[NpzFile]:
    with ExitStack() as closing:  # NumPy leaves open what turns out to be no archive
        stream = closing.enter_context(file.open("rb")) if isinstance(file, Path) else file
        try:
            archive = np.load(stream, allow_pickle=False)
        except (ValueError, EOFError, BadZipFile) as fault:
            raise PipelineError("expected a kept analysis (a NumPy archive), got none") from fault
        if not isinstance(archive, NpzFile):
            raise PipelineError("expected a kept analysis (a NumPy archive), got one array")
        yield closing.enter_context(archive)


def _values(archive: NpzFile) -> Values:
    try:
        plain = json.loads(archive["values"].tobytes())
        version = plain["format"]
    except (KeyError, TypeError, ValueError, BadZipFile) as fault:
        raise PipelineError("the kept analysis is damaged: its values cannot be read") from fault
    if version != FORMAT:
        raise PipelineError(f"expected a kept analysis of format {FORMAT}, got {version}")
    try:
        return VALUES.validate_python(plain)
    except ValidationError as fault:
        raise PipelineError("the kept analysis is damaged: a value is wrong") from fault


def _analysis(values: Values, arrays: Mapping[str, np.ndarray]) -> Analysis:
    try:
        return Analysis(
            lungs=LungMask(
                labels=arrays["lungs"], method=values.lung_method, doubts=values.lung_doubts
            ),
            classification=values.classification,
            activation=arrays["activation"],
            lesion_labels=arrays["lesions"],
            lesions=values.lesions,
            involvement=values.involvement,
            provenance=values.provenance,
            flags=values.flags,
            doubts=values.doubts,
            low_attenuation=values.low_attenuation,
            changes=values.changes,
            lobar=values.lobar,
            figures=values.figures,
        )
    except ValueError as fault:
        raise PipelineError(f"the kept analysis is damaged: {fault}") from fault
