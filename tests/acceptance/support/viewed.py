"""A study for the viewer: a phantom of known anatomy, and every kind of its results."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from pipeline.analyse import own, to_bytes
from pipeline.lesions import measure
from pipeline.series.volume import assemble
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import Phantom, PhantomSpec, make_phantom
from pipeline.types import Analysis, CtSeries, LungMask
from tests.acceptance.support.orthanc import Orthanc
from tests.acceptance.support.samples import EVERYTHING, write_results
from tests.support.samples import encode_samples

SEED = 11
SPEC = PhantomSpec(seed=SEED, slices=48, size=256, spacing_mm=5.0, lesions=3)
SCORE, THRESHOLD = 0.443, 0.439  #: alike with two decimals
SPREAD = 4.0  #: how far the activation reaches around an opacity, pixels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Study:
    """What lies in the PACS, and the truth about it."""

    study_uid: str
    phantom: Phantom
    series: CtSeries
    analysis: Analysis


def true_analysis(phantom: Phantom, series: CtSeries) -> Analysis:
    """Find exactly what the phantom has; the activation spreads a little around it."""
    lungs = LungMask(labels=phantom.lungs, method="truth")
    spread = ndimage.gaussian_filter((phantom.lesions > 0).astype(np.float32), (0, SPREAD, SPREAD))
    heat = spread / spread.max()
    found = encode_samples.analysis(series.volume.shape, lungs=phantom.lungs)
    return replace(
        found,
        lesion_labels=phantom.lesions,
        activation=own(to_bytes(heat)),
        classification=replace(found.classification, score=SCORE, threshold=THRESHOLD),
        lesions=measure.lesions(phantom.lesions, series.volume, lungs, heat),
        involvement=measure.involvement(phantom.lesions > 0, lungs, series.volume),
    )


def load(pacs: Orthanc, folder: Path) -> Study:
    """Send the phantom and its results to the PACS."""
    phantom = make_phantom(SPEC)
    datasets = phantom_datasets(phantom, seed=SEED)
    write_series(datasets, folder / "source")
    series = assemble(datasets)
    analysis = true_analysis(phantom, series)
    context = encode_samples.context(products=EVERYTHING)
    write_results(series, analysis, context, folder, compressed=True)
    where = ["127.0.0.1", str(pacs.dicom_port)]
    for part in ("source", "results"):
        command = ["dcmsend", "-aec", "ORTHANC", "+sd", *where, folder / part]
        subprocess.run(command, check=True, capture_output=True)
    return Study(
        study_uid=str(series.headers[0].StudyInstanceUID),
        phantom=phantom,
        series=series,
        analysis=analysis,
    )
