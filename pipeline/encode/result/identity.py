"""Identity of results: the equipment, earlier reports and priors, inputs, result key and UIDs.

Two digests tell results apart. The inputs are everything that decides what a result says: where
they are those of the latest result of a series, that one stands, and none is made. The result key
is of the inputs and of the occasion on which the result is made; every UID derives from it. A
result made anew names another time, and floating point may round otherwise on another machine:
its bytes differ, so its UIDs do (PS3.5 9: a UID names one instance). Nothing has to be remembered
for that: it holds when the database, or the whole node, was set back to an older copy.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date

from pydicom.uid import UID

from pipeline.types import Classification

NAMESPACE = uuid.UUID("5b0f3d5e-7a52-4d0c-9c54-0a6f4a3f1c1d")
"""Namespace of the name-based UUIDs (RFC 9562, version 5); drawn once, never to be changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """Device that made a result: the algorithm, in the terms of IHE AIR 6.5.3.1.

    Attributes
    ----------
    device_uid
        New whenever the model is trained again (IHE AIR 6.5.3.1).
    station_uid
        Of the installation, whatever its model: Instance Creator UID of all its objects.
    """

    manufacturer: str
    model_name: str
    serial_number: str
    software_versions: str
    device_uid: str
    station_uid: str

    def __post_init__(self) -> None:
        empty = [name for name in self.__slots__ if not getattr(self, name)]
        if empty:
            raise ValueError(f"equipment needs a value for {', '.join(empty)}")

    def as_parameters(self) -> Mapping[str, str]:
        """Attributes by name, for the result key: another device makes another result."""
        return {name.replace("_", " "): value for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportReference:
    """UIDs of an object of this node in the PACS."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Objects of earlier results of a series that one destination has, and that are superseded.

    Attributes
    ----------
    destination
        Its name in the settings.
    """

    destination: str
    objects: tuple[ReportReference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """Result of this node for an earlier study of the patient.

    Attributes
    ----------
    study_date
        Study Date of the earlier study.
    right, left, total
        Share of each lung, and of both, taken by opacities, 0 to 1; None where opacities were
        not reported.
    model
        Name and version, a space between; scores of different models do not compare.
    report
        The earlier report.
    indeterminate_from
        As in `pipeline.types.Classification`.
    ground_glass_ml, consolidation_ml
        Volumes of its opacities together, ml; None also where they had not been measured yet.
    """

    study_date: date
    score: float
    threshold: float
    right: float | None
    left: float | None
    total: float | None
    model: str
    report: ReportReference
    indeterminate_from: float | None = None
    ground_glass_ml: float | None = None
    consolidation_ml: float | None = None

    @property
    def classification(self) -> Classification:
        """The answer of that time, by its bounds; it was not kept where these came from."""
        return Classification(
            score=self.score,
            threshold=self.threshold,
            operating_point="",
            indeterminate_from=self.indeterminate_from,
        )


def inputs_digest(
    series_instance_uid: str,
    instances: Iterable[tuple[str, str]],
    model: str,
    parameters: Mapping[str, str],
) -> str:
    """Digest everything that decides what a result says.

    Parameters
    ----------
    instances
        SOP Instance UID and digest of the bytes, one pair for an instance, in any order.
    model
        Version and checksum of the model.
    parameters
        Settings that change results.

    Returns
    -------
    str
        SHA-256, 64 hexadecimal digits.
    """
    parts = [series_instance_uid, sorted(map(list, instances)), model, sorted(parameters.items())]
    canonical = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def stands(inputs: str, earlier: Sequence[str]) -> bool:
    """Tell whether the latest result of a series was made of these inputs, and so stands.

    Parameters
    ----------
    inputs
        From `inputs_digest`.
    earlier
        Inputs of the results of the series so far, the latest last.
    """
    if not earlier:
        return False
    *superseded, latest = earlier
    return latest == inputs or (bool(superseded) and latest == _after(inputs, superseded[-1]))


def _after(inputs: str, latest: str) -> str:
    """Digest inputs as versions up to 0.1.0 did where a series went back to earlier settings."""
    return hashlib.sha256(f"{inputs} after {latest}".encode("ascii")).hexdigest()


def result_key(inputs: str, occasion: str) -> str:
    """Digest inputs and the occasion on which a result is made, as the key of the result.

    Parameters
    ----------
    inputs
        From `inputs_digest`.
    occasion
        Never the same for two results that are made.

    Returns
    -------
    str
        SHA-256, 64 hexadecimal digits.
    """
    return hashlib.sha256(f"{inputs} made {occasion}".encode()).hexdigest()


def derived_uid(key: str, *parts: str | int) -> UID:
    """UID under the key: ``2.25.`` and a name-based UUID (PS3.5 B.2, RFC 9562 section 5.5)."""
    name = json.dumps([key, *map(str, parts)])
    return UID(f"2.25.{uuid.uuid5(NAMESPACE, name).int}")
