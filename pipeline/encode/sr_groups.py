"""Contents of the report: a group for the whole, one per segmented opacity, and what is in words.

Measurements are in groups (TID 1501 and 1411). Decision and sentences are in the container
Qualitative Evaluations (TID 1500 rows 12 to 14), the only place that template has for text.
"""

from __future__ import annotations

from collections.abc import Iterable

import highdicom.sr as hd
from pydicom import Dataset
from pydicom.sr.coding import Code

from pipeline.encode import codes, wording
from pipeline.encode.context import ResultContext
from pipeline.encode.identity import Equipment, derived_uid
from pipeline.encode.segments import Segment
from pipeline.encode.sr_document import CONTAINS
from pipeline.types import Analysis, Classification, CtSeries, Lesion, Provenance, Side


def opacity_groups(
    series: CtSeries, context: ResultContext, segmentation: Dataset, chosen: tuple[Segment, ...]
) -> list[hd.VolumetricROIMeasurementsAndQualitativeEvaluations]:
    """One TID 1411 group for each segment of lesions."""
    source = hd.SourceSeriesForSegmentation(str(series.headers[0].SeriesInstanceUID))
    algorithm = algorithm_identification(context.equipment)
    return [
        hd.VolumetricROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=hd.TrackingIdentifier(segment.tracking_uid, segment.tracking_id),
            referenced_segment=hd.ReferencedSegment(
                segmentation.SOPClassUID,
                segmentation.SOPInstanceUID,
                segment.number,
                source_series=source,
            ),
            finding_type=codes.LESION,
            finding_sites=[_site(segment.side)],
            measurements=_opacity_measurements(segment.lesions, algorithm),
        )
        for segment in chosen
        if segment.lesions
    ]


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
    """Model, checksum, threshold and settings, as ``name=value``."""
    provenance, classification = analysis.provenance, analysis.classification
    stated = {
        "model": wording.model_line(provenance),
        "manifest-sha256": provenance.weights_sha256,
        "software": provenance.software_version,
        "threshold": repr(classification.threshold),
        "operating-point": classification.operating_point,
        **_settings(provenance),
    }
    return tuple(wording.ascii_text(f"{name}={value}") for name, value in stated.items())


def _settings(provenance: Provenance) -> dict[str, str]:
    return dict(sorted(provenance.parameters.items()))


def whole_group(
    series: CtSeries, analysis: Analysis, context: ResultContext
) -> hd.MeasurementsAndQualitativeEvaluations:
    """TID 1501 group for the whole: score, threshold, involvement, volumes."""
    algorithm = algorithm_identification(context.equipment, algorithm_parameters(analysis))
    brief = algorithm_identification(context.equipment)
    return hd.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.TrackingIdentifier(
            derived_uid(context.key, "tracking", "whole"), "AI both lungs"
        ),
        finding_type=codes.CLASSIFIER_OUTPUT,
        finding_sites=[hd.FindingSite(codes.LUNG)],
        measurements=[
            *_classifier_measurements(analysis.classification, algorithm),
            *_lung_measurements(analysis, brief),
        ],
    )


def _classifier_measurements(
    classification: Classification, algorithm: hd.AlgorithmIdentification
) -> list[hd.Measurement]:
    return [
        hd.Measurement(name, round(value, 6), codes.NO_UNITS, algorithm_id=algorithm)
        for name, value in (
            (codes.SCORE, classification.score),
            (codes.THRESHOLD, classification.threshold),
        )
    ]


def _lung_measurements(
    analysis: Analysis, algorithm: hd.AlgorithmIdentification
) -> list[hd.Measurement]:
    involved = analysis.involvement
    rows: tuple[tuple[Code, float, Code, Side | None], ...] = (
        (codes.SHARE_TOTAL, round(100 * involved.total, 2), codes.PERCENT, None),
        (codes.SHARE_RIGHT, round(100 * involved.right, 2), codes.PERCENT, Side.RIGHT),
        (codes.SHARE_LEFT, round(100 * involved.left, 2), codes.PERCENT, Side.LEFT),
        (codes.VOLUME_TOTAL, round(involved.total_ml, 1), codes.MILLILITRE, None),
        (codes.VOLUME_RIGHT, round(involved.right_ml, 1), codes.MILLILITRE, Side.RIGHT),
        (codes.VOLUME_LEFT, round(involved.left_ml, 1), codes.MILLILITRE, Side.LEFT),
        (codes.LESION_COUNT, len(analysis.lesions), codes.NO_UNITS, None),
    )
    return [
        hd.Measurement(name, value, unit, algorithm_id=algorithm, finding_sites=[_site(side)])
        for name, value, unit, side in rows
    ]


def _site(side: Side | None) -> hd.FindingSite:
    laterality = None if side is None else codes.LATERALITY[side]
    return hd.FindingSite(codes.LUNG, laterality=laterality)


def _opacity_measurements(
    lesions: tuple[Lesion, ...], algorithm: hd.AlgorithmIdentification
) -> list[hd.Measurement]:
    volume = sum(lesion.volume_mm3 for lesion in lesions)
    hu = sum(lesion.mean_hu * lesion.volume_mm3 for lesion in lesions) / volume
    activation = sum(lesion.activation * lesion.volume_mm3 for lesion in lesions) / volume
    return [
        hd.Measurement(
            codes.VOLUME, round(volume / 1000, 3), codes.MILLILITRE, algorithm_id=algorithm
        ),
        hd.Measurement(
            codes.ATTENUATION,
            round(hu, 1),
            codes.HOUNSFIELD,
            derivation=codes.MEAN,
            algorithm_id=algorithm,
        ),
        hd.Measurement(
            codes.ACTIVATION, round(activation, 3), codes.NO_UNITS, algorithm_id=algorithm
        ),
    ]


def qualitative_evaluations(series: CtSeries, analysis: Analysis) -> hd.ContainerContentItem:
    """TID 1500 row 12: decision, sentences and verdicts."""
    positive = analysis.classification.positive
    decision = codes.ABOVE if positive else codes.NOT_ABOVE
    container = hd.ContainerContentItem(codes.QUALITATIVE_EVALUATIONS, relationship_type=CONTAINS)
    container.ContentSequence = hd.ContentSequence(
        [
            hd.CodeContentItem(codes.DECISION, decision, CONTAINS),
            *_texts(series, analysis),
        ]
    )
    return container


def _texts(series: CtSeries, analysis: Analysis) -> list[hd.TextContentItem]:
    rows = [
        (codes.NOTICE, wording.RESEARCH_NOTICE),
        (codes.SENTENCE, wording.ready_sentence(series, analysis)),
        (codes.OPERATING_POINT, wording.ascii_text(analysis.classification.operating_point)),
        (codes.COMPLETENESS, wording.completeness_sentence(series)),
        (codes.LUNG_METHOD, wording.ascii_text(analysis.lungs.method)),
        *((codes.QUALITY, text) for text in wording.quality_sentences(series, analysis)),
    ]
    return [hd.TextContentItem(name, text, CONTAINS) for name, text in rows]
