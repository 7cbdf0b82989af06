"""The algorithm as the report identifies it (TID 4019)."""

from __future__ import annotations

from collections.abc import Iterable

import highdicom.sr as hd

from pipeline.encode.common import sentences
from pipeline.encode.result import codes
from pipeline.encode.result.identity import Equipment
from pipeline.types import Analysis


def algorithm_identification(
    equipment: Equipment, parameters: Iterable[str] = ()
) -> hd.AlgorithmIdentification:
    """TID 4019; name, version and manufacturer equal to Contributing Equipment (IHE AIR)."""
    return hd.AlgorithmIdentification(
        name=equipment.model_name,
        version=equipment.software_versions,
        manufacturer=equipment.manufacturer,
        family=codes.ARTIFICIAL_INTELLIGENCE,
        parameters=list(parameters) or None,
    )


def algorithm_parameters(analysis: Analysis) -> tuple[str, ...]:
    """Model, checksum, the threshold in use and the settings, as ``name=value``."""
    provenance, classification = analysis.provenance, analysis.classification
    settings = {**provenance.parameters, "threshold": repr(classification.threshold)}
    stated = {
        "model": sentences.model_line(provenance),
        "manifest-sha256": provenance.weights_sha256,
        "software": provenance.software_version,
        "operating-point": classification.operating_point,
        **dict(sorted(settings.items())),
    }
    return tuple(sentences.ascii_text(f"{name}={value}") for name, value in stated.items())
