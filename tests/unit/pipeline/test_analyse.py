"""A phantom goes through the whole line, and the results land on its own grid."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import torch
from pydicom import Dataset

from pipeline.analyse import analyse, find
from pipeline.errors import UnsuitableSeries
from pipeline.lobar_extent import Fissure
from pipeline.model.feature_reference import Reference
from pipeline.model.loading import Models
from pipeline.model.manifest import Manifest, ReferenceEntry
from pipeline.networks.decovnet import DeCoVNet
from pipeline.networks.unet import UNet
from pipeline.options import AnalysisOptions
from pipeline.series.common_header import common_header
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from pipeline.types import Analysis, CtSeries, CtVolume, GeometryVerdict

SHA = "0" * 64
SPEC = PhantomSpec(seed=5, slices=60, size=160, spacing_mm=5.0, lesions=4)
ANYHOW = AnalysisOptions(threshold=0.0)  # every score lies above: lesions are looked for


@pytest.fixture(scope="module")
def models() -> Models:
    """Networks that have learnt nothing: the unsupervised lungs win, the score is any."""
    torch.manual_seed(1)
    network = {"file": "x.safetensors", "sha256": SHA, "parameters": 1}
    seen = {"window_hu": (-1200, 600)}
    manifest = Manifest.model_validate(
        {
            "name": "test",
            "version": "7",
            "created": "2026-01-01",
            "networks": {
                "lungs": {**network, "architecture": "unet-2d", "input": {**seen, "size": 32}},
                "classifier": {
                    **network,
                    "architecture": "decovnet",
                    "input": {**seen, "rows": 64, "columns": 96, "slice_mm": 8, "margin_mm": 5},
                },
            },
            "calibration": {"temperature": 1.0},
            "operating_points": {"default": {"threshold": 1.0, "from": "never positive"}},
            "card": {
                "trained_on": ["nothing"],
                "intended_use": "tests",
                "not_for": [],
                "limits": [],
                "metrics": {},
                "reproduce": "-",
            },
        }
    )
    return Models(
        manifest=manifest,
        lungs=UNet().eval(),
        classifier=DeCoVNet().eval(),
        device=torch.device("cpu"),
        weights_sha256=SHA,
    )


def series_of(hu: np.ndarray, affine: np.ndarray) -> CtSeries:
    volume = CtVolume(
        hu=np.ascontiguousarray(hu),
        affine=affine,
        frame_of_reference_uid="",
        source=(None,) * len(hu),
    )
    geometry = GeometryVerdict(spacing_mm=SPEC.spacing_mm, coverage_mm=SPEC.spacing_mm * len(hu))
    header = Dataset()
    header.BodyPartExamined = "HEAD"
    return CtSeries(
        volume=volume,
        headers=(header,),
        common=common_header([header]),
        geometry=geometry,
        instance_count=len(hu),
    )


@pytest.fixture(scope="module")
def series() -> CtSeries:
    phantom = make_phantom(SPEC)
    return series_of(phantom.hu, phantom.affine)


def clock() -> Iterator[datetime]:
    yield datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
    yield datetime(2026, 1, 1, 12, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def steps() -> list[tuple[str, float]]:
    return []


@pytest.fixture(scope="module")
def analysis(series: CtSeries, models: Models, steps: list[tuple[str, float]]) -> Analysis:
    ticks = clock()
    return analyse(series, models, ANYHOW, lambda *step: steps.append(step), lambda: next(ticks))


def test_the_sites_threshold_is_named_so(analysis: Analysis) -> None:
    called = analysis.classification

    assert (called.threshold, called.operating_point, called.positive) == (0.0, "site", True)


def test_lungs_that_are_known_are_not_looked_for_again(
    analysis: Analysis, series: CtSeries, models: Models
) -> None:
    steps: list[str] = []
    found = find(series, models, ANYHOW, lambda step, _: steps.append(step), lungs=analysis.lungs)

    assert "lungs" not in steps
    assert found.classification.score == analysis.classification.score
    np.testing.assert_array_equal(found.lungs.labels, analysis.lungs.labels)
    assert [lesion.volume_ml for lesion in found.lesions] == [
        lesion.volume_ml for lesion in analysis.lesions
    ]


def test_results_lie_on_the_grid_of_the_series(analysis: Analysis, series: CtSeries) -> None:
    shape = series.volume.shape

    assert analysis.lungs.labels.shape == analysis.activation.shape == shape
    assert set(np.unique(analysis.lungs.labels)) == {0, 1, 2}
    assert not analysis.lesion_labels[analysis.lungs.labels == 0].any()
    assert analysis.low_attenuation is None  # pixels of more than 2 mm
    assert all(lesion.long_axis_mm for lesion in analysis.lesions)
    assert len(analysis.lesions) == analysis.lesion_labels.max()


def test_provenance_names_what_was_used(analysis: Analysis) -> None:
    made = analysis.provenance

    assert (made.model_name, made.model_version, made.weights_sha256) == ("test", "7", SHA)
    assert (made.finished - made.started).total_seconds() == 60
    assert made.parameters == {
        "threshold": "0",
        "lesions when negative": "no",
        "unreported share": "0.01",
        "unreported ml": "3",
        "activation": ANYHOW.activation,
    }


def test_lobes_are_looked_for_where_they_are_asked_for(
    analysis: Analysis, series: CtSeries, models: Models
) -> None:
    asked = analyse(series, models, replace(ANYHOW, lobes=True), lambda step, share: None)

    assert analysis.lobar is None
    assert asked.lobar is not None
    assert {one.fissure for one in asked.lobar.fissures} >= {
        Fissure.RIGHT_OBLIQUE,
        Fissure.LEFT_OBLIQUE,
    }
    assert asked.provenance.parameters["lobes"] == "yes"


def test_every_doubt_is_a_flag(analysis: Analysis) -> None:
    codes = [doubt.code for doubt in analysis.doubts]

    assert "body-part" in codes
    assert "unusual-spacing" in codes  # pixels of more than 2 mm
    assert set(codes) <= set(analysis.flags)
    assert "unlike-training-data" not in codes  # this model does not know its kind


def test_a_case_far_from_the_reference_is_unlike_the_training_data(
    series: CtSeries, models: Models
) -> None:
    entry = ReferenceEntry.model_validate(
        {
            "file": "reference.safetensors",
            "sha256": SHA,
            "cases": 100,
            "quantile": 0.99,
            "limit": 1e-6,
            "from": "a test",
        }
    )
    knowing = replace(
        models,
        manifest=models.manifest.model_copy(update={"reference": entry}),
        reference=Reference(means=np.zeros((2, 128)), precision=np.eye(128)),
    )

    found = analyse(series, knowing, AnalysisOptions(), lambda *_: None)

    assert "unlike-training-data" in found.flags


def test_progress_rises_to_1(analysis: Analysis, steps: list[tuple[str, float]]) -> None:
    assert analysis.classification.positive
    assert [name for name, _ in steps] == [
        "canonical",
        "lungs by the network",
        "lungs",
        "classify",
        "activation",
        "localise",
        "measure",
        "done",
    ]
    assert [share for _, share in steps] == sorted(share for _, share in steps)
    assert steps[-1][1] == 1


def test_turned_series_gives_the_same_results_turned(
    analysis: Analysis, series: CtSeries, models: Models
) -> None:
    affine = series.volume.affine.copy()
    rows, columns = series.volume.shape[1:]
    affine[:, 3] += affine[:, 1] * (rows - 1) + affine[:, 2] * (columns - 1)
    affine[:, 1:3] *= -1
    affine[:, [1, 2]] = affine[:, [2, 1]]
    hu = series.volume.hu[:, ::-1, ::-1].swapaxes(1, 2)

    turned = analyse(series_of(hu, affine), models, ANYHOW, lambda *_: None)

    for name in ("activation", "lesion_labels"):
        assert np.array_equal(
            getattr(turned, name), getattr(analysis, name)[:, ::-1, ::-1].swapaxes(1, 2)
        )
    assert turned.lesions == analysis.lesions
    assert turned.involvement == analysis.involvement


def test_negative_series_has_no_lesions_but_an_activation(series: CtSeries, models: Models) -> None:
    negative = analyse(series, models, AnalysisOptions(), lambda *_: None)

    assert not negative.classification.positive
    assert negative.lesions == ()
    assert not negative.lesion_labels.any()
    assert negative.involvement.total is None
    assert negative.activation.any()


def test_implausible_attenuation_is_refused(series: CtSeries, models: Models) -> None:
    flat = series_of(np.zeros_like(series.volume.hu), series.volume.affine.copy())

    with pytest.raises(UnsuitableSeries, match="implausible-hu"):
        analyse(flat, models, ANYHOW, lambda *_: None)


@pytest.mark.parametrize("wrong", [{"threshold": 1.5}, {"threshold": -0.1}, {"activation": "cam"}])
def test_impossible_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="got"):
        AnalysisOptions(**wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_options_name_what_changes_results() -> None:
    assert AnalysisOptions().as_parameters()["threshold"] == "model"
    assert AnalysisOptions(threshold=0.25).as_parameters()["threshold"] == "0.25"
