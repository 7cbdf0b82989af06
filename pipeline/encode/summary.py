"""Summarise an analysis as plain values without patient identity: for files, console, demo."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from pydicom import Dataset

from pipeline.encode.common import sentences
from pipeline.encode.common.scanner_bounds import scanner_words
from pipeline.encode.result.identity import Prior
from pipeline.encode.source.key_slices import image_name, key_slice
from pipeline.encode.source.source_slices import SourceSlice, real_slices
from pipeline.lobar_extent import LobarExtent
from pipeline.low_attenuation import LowAttenuation
from pipeline.opacity_content import content_of
from pipeline.series.attributes import calendar_date, code, optional_number, scanner_of, text
from pipeline.types import (
    Analysis,
    Classification,
    CtSeries,
    Lesion,
    PredictionSet,
    Provenance,
    Unreported,
)

SEXES = frozenset({"F", "M", "O"})  #: defined terms of Patient's Sex, PS3.3 C.7.1.1
PER_YEAR = {"D": 365, "W": 52, "M": 12, "Y": 1}  #: units of an Age String
DAYS_OF_FOUR_YEARS = 1461
OLDEST = 90  #: years, from which on ages are one group


def summary(series: CtSeries, analysis: Analysis, priors: tuple[Prior, ...] = ()) -> dict[str, Any]:
    """Summarise findings, geometry and provenance as values that JSON can hold.

    Parameters
    ----------
    priors
        Earlier results of the patient, the latest first.
    """
    classification = analysis.classification
    return {
        "notice": sentences.RESEARCH_NOTICE,
        "sentence": sentences.ready_sentence(series, analysis, priors),
        "score": classification.score,
        "threshold": classification.threshold,
        "indeterminate_from": classification.indeterminate_from,
        "operating_point": classification.operating_point,
        "scanner_bounds": _scanner_bounds(classification),
        "answer": str(classification.answer),
        "decision": sentences.decision(classification),
        "prediction_set": _prediction_set(classification.prediction_set),
        "involvement": _involvement(analysis),
        "lungs_ml": _lungs(analysis),
        "opacities_ml": _opacities(analysis),
        "unreported": _unreported(analysis.unreported),
        "low_attenuation_ml": _low_attenuation(analysis.low_attenuation),
        "lobes": _lobes(analysis.lobar),
        "lung_method": analysis.lungs.method,
        "lesions": _lesions(series, analysis),
        "priors": _priors(analysis, priors),
        "person": _person(series),
        "acquisition": _acquisition(series),
        "protocol": _protocol(series),
        "figures": None if analysis.figures is None else asdict(analysis.figures),
        "geometry": _geometry(series),
        "flags": list(dict.fromkeys((*analysis.flags, *analysis.lungs.flags))),
        "doubts": [{"code": doubt.code, "text": doubt.text} for doubt in analysis.doubts],
        "provenance": _provenance(analysis.provenance),
    }


def _scanner_bounds(classification: Classification) -> dict[str, Any] | None:
    """Whose bounds decide, in values and words; None where they are not taken by scanner."""
    found = classification.scanner_bounds
    if found is None:
        return None
    return {**asdict(found), "sentence": scanner_words(found)}


def _prediction_set(found: PredictionSet | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"coverage": found.coverage, "classes": [str(name) for name in found.classes]}


def _involvement(analysis: Analysis) -> dict[str, float | None]:
    involved = analysis.involvement
    return {"right": involved.right, "left": involved.left, "total": involved.total}


def _lungs(analysis: Analysis) -> dict[str, float]:
    involved = analysis.involvement
    volumes = {"right": involved.right_ml, "left": involved.left_ml, "total": involved.total_ml}
    return {**volumes, "open": involved.open_ml} if involved.open_ml else volumes


def _opacities(analysis: Analysis) -> dict[str, float | None]:
    """Volumes of all opacities together; None where they are not reported, or not measured."""
    content = content_of(analysis)
    if content is None:
        return {"ground_glass": None, "consolidation": None}
    return {"ground_glass": content.ground_glass_ml, "consolidation": content.consolidation_ml}


def _unreported(found: Unreported | None) -> dict[str, float | None] | None:
    """Measures of changes that are not outlined; None where there are none to name."""
    if found is None:
        return None
    return {
        "share": found.share,
        "right": found.right,
        "left": found.left,
        "largest_ml": found.largest_ml,
        "solid_ml": found.solid_ml,
        "slice_from_below": found.voxel[0] + 1,
    }


def _low_attenuation(low: LowAttenuation | None) -> dict[str, float] | None:
    """Volumes below `LOW_ATTENUATION_MAX_HU`; None where the scan does not allow to measure it."""
    if low is None:
        return None
    volumes = {"right": low.right_ml, "left": low.left_ml, "total": low.total_ml}
    return {**volumes, "open": low.open_ml} if low.open_ml else volumes


def _lobes(found: LobarExtent | None) -> dict[str, Any] | None:
    """Measures of the lobes that were found, and the evidence of fissures; None if not asked."""
    if found is None:
        return None
    return {
        "severity": found.severity,
        "lobes": [
            {
                "lobe": str(one.lobe),
                "volume_ml": one.volume_ml,
                "opaque_ml": one.opaque_ml,
                "share": one.share,
                "severity": one.severity,
            }
            for one in found.lobes
        ],
        "fissures": [
            {
                "fissure": str(one.fissure),
                "seen": one.is_seen,
                "seen_share": one.seen,
                "contrast": one.contrast,
            }
            for one in found.fissures
        ],
    }


def _lesions(series: CtSeries, analysis: Analysis) -> list[dict[str, Any]]:
    slices = real_slices(series)
    return [_lesion(lesion, key_slice(analysis, (lesion,), slices)) for lesion in analysis.lesions]


def _lesion(lesion: Lesion, key: SourceSlice | None) -> dict[str, Any]:
    """Describe a lesion; its key image as in the reports, its key slice from 1, from below."""
    return {
        "number": lesion.number,
        "side": None if lesion.side is None else str(lesion.side),
        "volume_ml": lesion.volume_mm3 / 1000,
        "ground_glass_ml": _ml(lesion.ground_glass_mm3),
        "consolidation_ml": _ml(lesion.consolidation_mm3),
        "long_axis_mm": lesion.long_axis_mm,
        "mean_hu": lesion.mean_hu,
        "activation": lesion.activation,
        "centroid_mm": list(lesion.centroid_mm),
        "key_slice_from_below": lesion.key_slice + 1,
        "key_image": None if key is None else image_name(key),
    }


def _ml(mm3: float | None) -> float | None:
    return None if mm3 is None else mm3 / 1000


def _priors(analysis: Analysis, priors: tuple[Prior, ...]) -> list[dict[str, Any]]:
    return [
        {
            "study_date": prior.study_date.isoformat(),
            "score": prior.score,
            "threshold": prior.threshold,
            "indeterminate_from": prior.indeterminate_from,
            "answer": str(prior.classification.answer),
            "involvement": {"right": prior.right, "left": prior.left, "total": prior.total},
            "opacities_ml": {
                "ground_glass": prior.ground_glass_ml,
                "consolidation": prior.consolidation_ml,
            },
            "model": prior.model,
            "sentence": sentence,
        }
        for prior, sentence in zip(priors, sentences.prior_sentences(analysis, priors), strict=True)
    ]


def _acquisition(series: CtSeries) -> dict[str, str]:
    header = series.common.header
    return {"scanner": scanner_of(header), "kernel": text(header, "ConvolutionKernel")}


def _person(series: CtSeries) -> dict[str, str]:
    """Sex and decade of age: what statistics ask, and nobody is known by."""
    header = series.common.header
    sex = code(header, "PatientSex")
    return {"sex": sex if sex in SEXES else "", "age": _decade(header)}


def _decade(header: Dataset) -> str:
    """Give the age in decades, as ``60-69``; empty where it is not known.

    It is the Patient's Age (AS, PS3.5 6.2), else that by birth on the day of the study. From 90
    years on all are one (HIPAA, 45 CFR 164.514(b)(2)(i)(C)).
    """
    years = None
    if written := re.fullmatch(r"(\d{3})([DWMY])", code(header, "PatientAge")):
        years = int(written[1]) // PER_YEAR[written[2]]
    elif born := calendar_date(text(header, "PatientBirthDate")):
        day = calendar_date(text(header, "StudyDate"))
        years = None if day is None else (day - born).days * 4 // DAYS_OF_FOUR_YEARS
    if years is None or years < 0:
        return ""
    decade = years // 10 * 10
    return f"{decade}-{decade + 9}" if decade < OLDEST else f"{OLDEST} and more"


def _protocol(series: CtSeries) -> dict[str, Any]:
    header = series.common.header
    return {
        "slice_thickness_mm": optional_number(header, "SliceThickness", least=0.01, most=100),
        "kvp": optional_number(header, "KVP", least=1, most=1000),
        "contrast": bool(text(header, "ContrastBolusAgent")),
    }


def _geometry(series: CtSeries) -> dict[str, Any]:
    geometry = series.geometry
    return {
        "slices": series.volume.shape[0],
        "instances": series.instance_count,
        "spacing_mm": geometry.spacing_mm,
        "coverage_mm": geometry.coverage_mm,
        "gaps": [
            {
                "after_slice": gap.after_slice,
                "missing": gap.missing,
                "position_mm": gap.position_mm,
            }
            for gap in geometry.gaps
        ],
        "duplicates": len(geometry.duplicates),
        "left_out": {str(part.code): part.images for part in geometry.left_out},
        "completeness": str(geometry.completeness),
        "closed_by": geometry.closed_by,
        "statement": geometry.statement,
    }


def _provenance(provenance: Provenance) -> dict[str, Any]:
    return {
        "model": provenance.model_name,
        "version": provenance.model_version,
        "manifest_sha256": provenance.weights_sha256,
        "software_version": provenance.software_version,
        "device": provenance.device,
        "started": provenance.started.isoformat(),
        "finished": provenance.finished.isoformat(),
        "seconds": (provenance.finished - provenance.started).total_seconds(),
        "parameters": dict(provenance.parameters),
    }
