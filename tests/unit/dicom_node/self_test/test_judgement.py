"""Score and volumes of the synthetic series, against what is known of them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.self_test.case import phantom, self_test_datasets
from dicom_node.self_test.judgement import (
    FIRST_RUN,
    LUNGS_TOLERANCE,
    OPACITIES_TOLERANCE,
    PAINTED_LUNGS_ML,
    PAINTED_OPACITIES_ML,
    REFERENCES,
    SCORE_TOLERANCE,
    Expectation,
    Figures,
    basis_of,
    expectation,
    judge,
)
from pipeline.model.manifest import BUNDLED, read_manifest
from tests.unit.dicom_node.analysis.test_dispatcher import NOW

KNOWN = Figures(score=0.58, lungs_ml=4555, opacities_ml=37.4)
EXPECTED = Expectation(source="known", figures=KNOWN)


def test_the_bundled_model_has_a_reference_of_its_own() -> None:
    _, sha256 = read_manifest(BUNDLED)
    basis = basis_of({"provenance": {"manifest_sha256": sha256}})

    assert expectation(basis, None) is REFERENCES[basis]
    assert expectation(basis, replace(KNOWN, score=0.9)) is REFERENCES[basis]


def test_another_model_is_compared_with_its_first_run_here() -> None:
    assert expectation("other", None).source == FIRST_RUN
    assert expectation("other", KNOWN).figures == KNOWN


def test_the_drawn_volumes_are_those_of_the_picture() -> None:
    made = phantom()
    voxel_ml = abs(np.linalg.det(made.affine[:3, :3])) / 1000

    assert np.count_nonzero(made.lungs) * voxel_ml == pytest.approx(PAINTED_LUNGS_ML, abs=0.1)
    assert np.count_nonzero(made.lesions) * voxel_ml == pytest.approx(PAINTED_OPACITIES_ML, abs=0.1)


def test_every_run_has_its_own_uids_and_the_same_picture() -> None:
    one, two = self_test_datasets("2.25.1", NOW), self_test_datasets("2.25.2", NOW)

    assert {ds.SeriesInstanceUID for ds in one} == {"2.25.1"}
    assert not {ds.SOPInstanceUID for ds in one} & {ds.SOPInstanceUID for ds in two}
    assert one[0].StudyInstanceUID != two[0].StudyInstanceUID
    assert [ds.PixelData for ds in one] == [ds.PixelData for ds in two]


@given(
    st.floats(-1, 1).map(lambda part: part * 0.99 * SCORE_TOLERANCE),
    st.floats(-0.99, 0.99).map(lambda part: 1 + part * LUNGS_TOLERANCE),
    st.floats(-0.99, 0.99).map(lambda part: 1 + part * OPACITIES_TOLERANCE),
)
def test_what_is_within_every_tolerance_passes(score: float, lungs: float, other: float) -> None:
    figures = Figures(
        score=KNOWN.score + score,
        lungs_ml=KNOWN.lungs_ml * lungs,
        opacities_ml=KNOWN.opacities_ml * other,
    )
    judgement = judge(figures, EXPECTED)

    assert judgement.faults == ()
    assert judgement.score_error == pytest.approx(score)


@pytest.mark.parametrize(
    ("figures", "named"),
    [
        (replace(KNOWN, score=KNOWN.score + 0.006), "score: expected 0.580 ±0.005, got 0.586"),
        (replace(KNOWN, score=float("nan")), "score: expected a number, got nan"),
        (replace(KNOWN, lungs_ml=4500), "lungs: expected 4555.0 ml ±1%, got 4500.0 ml"),
        (replace(KNOWN, opacities_ml=35), "opacities: expected 37.4 ml ±3%, got 35.0 ml"),
        (replace(KNOWN, opacities_ml=0), "opacities: expected 37.4 ml ±3%, got 0.0 ml"),
    ],
)
def test_what_is_beyond_a_tolerance_is_named(figures: Figures, named: str) -> None:
    assert named in judge(figures, EXPECTED).faults


def test_the_first_run_of_a_model_must_find_the_lungs_that_were_drawn() -> None:
    first = Expectation(source=FIRST_RUN)

    assert judge(KNOWN, first).faults == ()
    assert judge(replace(KNOWN, lungs_ml=3000), first).faults == (
        "lungs: 4498 ml ±5% were drawn, got 3000 ml",
    )


def test_figures_are_read_from_the_summary_of_an_analysis() -> None:
    found = {
        "score": 0.5,
        "lungs_ml": {"total": 100.0, "right": 60.0},
        "opacities_ml": {"ground_glass": 1.5, "consolidation": 2.5},
    }

    assert Figures.of(found) == Figures(score=0.5, lungs_ml=100, opacities_ml=4)
