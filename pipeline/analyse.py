"""The straight line from a series to its analysis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from pipeline.classifier.activation import DEFAULT_METHOD, METHODS, activation
from pipeline.classifier.input import network_input
from pipeline.classifier.score import DEFAULT_POINT, classify
from pipeline.decision import decided
from pipeline.doubts import doubts_of
from pipeline.errors import UnsuitableSeries
from pipeline.lesions import measure
from pipeline.lesions.localise import localise
from pipeline.lungs import segment
from pipeline.model.loading import Models
from pipeline.model.manifest import Manifest
from pipeline.scan_quality.body_part import body_part_doubts
from pipeline.series import eligibility
from pipeline.series.orientation import Orientation, canonical
from pipeline.types import Analysis, CtSeries, CtVolume, LungMask, Provenance

DISTRIBUTION = "dicom-node"  #: whose version is the software's
SITE_POINT = "site"  #: how a threshold set by the site is named
FULL_ACTIVATION = 255  #: stands for an activation of 1

Progress = Callable[[str, float], None]  #: name of the step that begins, share done 0..1


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisOptions:
    """What a site may choose.

    Attributes
    ----------
    threshold
        Scores strictly above it are positive; None takes the model's default operating point.
    lesions_when_negative
        Report lesions although the score is negative. Off: an opacity found in a series that
        is called negative would read as COVID-19 all the same. The activation map is always
        computed.
    activation
        How the activation is computed: a key of `pipeline.classifier.activation.METHODS`.
    """

    threshold: float | None = None
    lesions_when_negative: bool = False
    activation: str = DEFAULT_METHOD

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold must lie in 0 to 1, got {self.threshold}")
        if self.activation not in METHODS:
            raise ValueError(f"activation must be of {sorted(METHODS)}, got {self.activation}")

    def as_parameters(self) -> Mapping[str, str]:
        """Name the settings that change results, for the result key and the report."""
        return {
            "threshold": DEFAULT_POINT if self.threshold is None else f"{self.threshold:g}",
            "lesions when negative": "yes" if self.lesions_when_negative else "no",
            "activation": self.activation,
        }


def analyse(
    series: CtSeries,
    models: Models,
    options: AnalysisOptions,
    progress: Progress,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Analysis:
    """Analyse a series, and decide what of it is reported; see `find` and `decide`."""
    found = find(series, models, options, progress, now)
    return decide(found, options, models.manifest)


def decide(found: Analysis, options: AnalysisOptions, manifest: Manifest) -> Analysis:
    """Decide by the options, and the manifest's operating point, what is reported."""
    point = manifest.operating_points[DEFAULT_POINT]
    return decided(
        found,
        threshold=point.threshold if options.threshold is None else options.threshold,
        operating_point=DEFAULT_POINT if options.threshold is None else SITE_POINT,
        lesions_when_negative=options.lesions_when_negative,
        parameters=options.as_parameters(),
    )


def find(
    series: CtSeries,
    models: Models,
    options: AnalysisOptions,
    progress: Progress,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Analysis:
    """Find all there is in a series, whatever the score.

    Parameters
    ----------
    progress
        Called at the start of each step, and with 1 at the end.
    now
        The time, with its zone.

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
    progress("lungs", 0.0)
    volume = canonical(plausible(series.volume))
    lung_mask = segment.segment(volume, models)
    progress("classify", 0.6)
    seen = network_input(volume, lung_mask, models.manifest.networks.classifier.input)
    scored = classify(seen, models)
    doubts = (
        *body_part_doubts(series.headers),
        *lung_mask.doubts,
        *doubts_of(volume, lung_mask, seen, scored, models),
    )
    progress("localise", 0.8)
    heat = activation(scored, seen, lung_mask.labels > 0, method=options.activation)
    labels = localise(volume, lung_mask, heat)
    progress("measure", 0.95)
    back = Orientation.of(series.volume.affine).undo
    analysis = Analysis(
        lungs=LungMask(
            labels=own(back(lung_mask.labels)), method=lung_mask.method, doubts=lung_mask.doubts
        ),
        classification=scored.classification,
        activation=own(back(to_bytes(heat))),
        lesion_labels=own(back(labels)),
        lesions=measure.lesions(labels, volume, lung_mask, heat),
        involvement=measure.involvement(labels > 0, lung_mask, volume),
        provenance=provenance(models, options, started, now()),
        flags=tuple(dict.fromkeys(doubt.code for doubt in doubts)),
        doubts=doubts,
    )
    progress("done", 1.0)
    return analysis


def plausible(volume: CtVolume) -> CtVolume:
    """Give the volume back if its attenuation is that of a chest.

    Raises
    ------
    UnsuitableSeries
        If it is not.
    """
    reason = eligibility.implausible(volume)
    if reason is not None:
        raise UnsuitableSeries(reason.code, reason.text)
    return volume


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


def to_bytes(activation_map: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Activation 0..1 as 0..255, rounded."""
    return np.rint(activation_map * FULL_ACTIVATION).astype(np.uint8)


def own(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Copy of an array in its own memory, to be made read-only."""
    return np.array(array, order="C")
