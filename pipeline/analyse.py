"""Analyse a series: lungs, classification, doubts, lesions, measurements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from pipeline.classifier.activation import Activation, activation
from pipeline.classifier.input import network_input
from pipeline.classifier.score import Scored, classify
from pipeline.decision import decide
from pipeline.lesions import measure
from pipeline.lesions.localise import dense_lung, localise
from pipeline.lobes.divide import lobar_extent
from pipeline.lungs import segment
from pipeline.model.loading import Models
from pipeline.options import AnalysisOptions
from pipeline.quality_flags import judged_scan
from pipeline.scan_quality.body_part import body_part_doubts
from pipeline.series.attributes import scanner_of
from pipeline.series.common_header import common_doubts
from pipeline.series.eligibility import plausible
from pipeline.series.orientation import Orientation, canonical
from pipeline.series.selection import left_out_doubts
from pipeline.side_by_side import both
from pipeline.types import (
    Analysis,
    CtSeries,
    Doubt,
    LungMask,
    Planes,
    Provenance,
    ScanFigures,
)

DISTRIBUTION = "dicom-node"  #: whose version is the software's
FULL_ACTIVATION = 255  #: stands for an activation of 1

Progress = Callable[[str, float], None]  #: name of the step that begins, share done 0..1


def analyse(
    series: CtSeries,
    models: Models,
    options: AnalysisOptions,
    progress: Progress,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Analysis:
    """Analyse a series, and decide which findings are reported; see `find`."""
    found = find(series, models, options, progress, now)
    return decide(found, options, models.manifest, scanner_of(series.common.header))


def find(
    series: CtSeries,
    models: Models,
    options: AnalysisOptions,
    progress: Progress,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    lungs: LungMask | None = None,
) -> Analysis:
    """Find lungs, score, activation and every lesion of a series, whatever the score.

    Parameters
    ----------
    progress
        Called at the start of each step, and with 1 at the end.
    now
        The time, with its zone.
    lungs
        Those that the same network has found in the series before, as an analysis has them; None
        to find them.

    Returns
    -------
    Analysis
        On the grid of ``series.volume``; undecided, so with every lesion.

    Raises
    ------
    UnsuitableSeries
        If the attenuation is implausible, no lungs are found, or the scan is out of all reason.
    ModelError
        If the model's classifier is not the one expected.
    """
    started = now()
    progress("canonical", 0.0)
    volume = canonical(plausible(series.volume))
    turn = Orientation.of(series.volume.affine)
    if lungs is None:
        lung_mask = segment.segment(volume, models, progress)
    else:
        lung_mask = replace(lungs, labels=own(turn.apply(lungs.labels)))
    progress("classify", 0.6)

    def classified() -> tuple[Scored, Activation, tuple[Doubt, ...], ScanFigures]:
        crop = network_input(volume, lung_mask, models.manifest.networks.classifier.input)
        scored = classify(crop, models)
        progress("activation", 0.7)
        heat = activation(scored, crop, lung_mask.labels, method=options.activation)
        return scored, heat, *judged_scan(volume, lung_mask, crop, scored, models)

    (scored, heat, of_scan, figures), dense = both(
        classified, partial(dense_lung, volume, lung_mask)
    )
    progress("localise", 0.8)
    localised, heat_bytes = both(partial(localise, dense, lung_mask, heat), partial(to_bytes, heat))
    labels = localised.labels
    doubts = (
        *common_doubts(series.common),
        *left_out_doubts(series.geometry.left_out),
        *body_part_doubts(series.headers),
        *lung_mask.doubts,
        *of_scan,
    )
    lobar = None
    if options.lobes:
        progress("lobes", 0.9)
        lobar = lobar_extent(volume, lung_mask, labels)
    progress("measure", 0.95)
    codes = tuple(dict.fromkeys(doubt.code for doubt in doubts))
    lesions, (involvement, low_attenuation) = both(
        partial(measure.lesions, labels, volume, lung_mask, heat),
        lambda: (
            measure.involvement(labels, lung_mask, volume),
            measure.low_attenuation(volume, lung_mask, codes),
        ),
    )
    back = turn.undo
    analysis = Analysis(
        lungs=LungMask(
            labels=own(back(lung_mask.labels)), method=lung_mask.method, doubts=lung_mask.doubts
        ),
        classification=scored.classification,
        activation=own(back(heat_bytes)),
        lesion_labels=own(back(labels)),
        lesions=lesions,
        involvement=involvement,
        provenance=provenance(models, options, started, now()),
        flags=codes,
        doubts=doubts,
        changes=tuple(
            replace(change, voxel=turn.undo_voxel(change.voxel, volume.shape))
            for change in localised.changes
        ),
        low_attenuation=low_attenuation,
        lobar=lobar,
        figures=figures,
    )
    progress("done", 1.0)
    return analysis


def provenance(
    models: Models, options: AnalysisOptions, started: datetime, finished: datetime
) -> Provenance:
    """State which model, software and settings made the analysis, and when."""
    return Provenance(
        model_name=models.manifest.name,
        model_version=models.manifest.version,
        weights_sha256=models.weights_sha256,
        software_version=version(DISTRIBUTION),
        device=str(models.device),
        started=started,
        finished=finished,
        parameters=options.as_parameters(),
    )


def to_bytes(activation_map: Planes) -> NDArray[np.uint8]:
    """Turn an activation 0..1 into 0..255, rounded."""
    found = np.empty((len(activation_map), *activation_map[0].shape), np.uint8)
    for index, plane in enumerate(activation_map):
        found[index] = np.rint(plane * FULL_ACTIVATION)
    return found


def own(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay an array out slice by slice, to be made read-only; a copy only where it is a view."""
    return np.ascontiguousarray(array)
