"""The task of a worker: the second model on the images of a series, real networks and all."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.settings import Settings
from dicom_node.analysis.configuration import analysis_config_of, reference_of
from dicom_node.analysis.offline import source_files
from dicom_node.analysis.result_rows import KEPT
from dicom_node.analysis.worker.findings import find_in
from dicom_node.analysis.worker.inputs import source_digest
from dicom_node.analysis.worker.messages import (
    AnalysisRequest,
    Shadowed,
    ShadowRequest,
    Stopped,
    Unsuitable,
)
from dicom_node.analysis.worker.shadow_task import _kept, find_in_shadow, stop
from pipeline.analysis_file import to_bytes
from pipeline.errors import ModelError
from pipeline.options import METHOD
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from tests.support.samples.second_model import second_model

pytestmark = pytest.mark.slow

SPEC = PhantomSpec(seed=5, slices=45, size=128, spacing_mm=5.0, lesions=3)


@pytest.fixture(scope="module")
def request_of(tmp_path_factory: pytest.TempPathFactory) -> ShadowRequest:
    """A phantom, what the model in use has found in it, and a second model."""
    folder = tmp_path_factory.mktemp("shadow")
    paths = write_series(
        phantom_datasets(make_phantom(SPEC), seed=5), folder / "series", "explicit"
    )
    config = analysis_config_of(Settings())
    files = tuple(source_files(paths))
    first = AnalysisRequest(
        series_instance_uid="9.1", files=files, config=config, created=datetime.now(UTC)
    )
    found = find_in(first.images).undecided
    (folder / KEPT).write_bytes(to_bytes(found, source_digest(first), METHOD))
    second = reference_of(second_model(folder / "second"))
    return ShadowRequest(
        series_instance_uid="9.1",
        images=replace(first.images, model=second),
        first=config.model,
        kept=folder / KEPT,
        task="one",
    )


def test_lungs_of_the_same_network_are_taken_over_and_change_nothing(
    request_of: ShadowRequest, tmp_path: Path
) -> None:
    reused = find_in_shadow(request_of)
    alone = find_in_shadow(replace(request_of, kept=tmp_path / "none.npz"))

    assert isinstance(reused, Shadowed)
    assert isinstance(alone, Shadowed)
    assert (reused.reused_lungs, alone.reused_lungs) == (True, False)
    assert reused.lungs_of_result_ml == reused.lungs_ml == alone.lungs_ml
    assert alone.lungs_of_result_ml is None
    assert (reused.score, reused.opacities_ml) == (alone.score, alone.opacities_ml)


def test_an_analysis_of_other_images_or_another_model_is_not_taken_over(
    request_of: ShadowRequest,
) -> None:
    model = replace(request_of.first, sha256="3" * 64)

    assert _kept(request_of) is not None
    assert _kept(replace(request_of, series_instance_uid="9.2")) is None
    assert _kept(replace(request_of, first=model)) is None


def test_it_ends_where_it_is_stopped(request_of: ShadowRequest) -> None:
    stop("two")

    assert find_in_shadow(replace(request_of, task="two")) == Stopped()


def test_what_is_no_chest_is_said_so(request_of: ShadowRequest) -> None:
    images = replace(request_of.images, files=request_of.images.files[:3])

    found = find_in_shadow(replace(request_of, images=images))

    assert isinstance(found, Unsuitable)


def test_a_model_that_is_not_installed_is_named(request_of: ShadowRequest) -> None:
    model = replace(request_of.images.model, sha256="3" * 64)
    images = replace(request_of.images, model=model)

    with pytest.raises(ModelError, match="found none of that digest"):
        find_in_shadow(replace(request_of, images=images))
