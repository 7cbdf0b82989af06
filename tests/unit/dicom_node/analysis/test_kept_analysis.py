"""A kept analysis is issued again for its own instances, its own model and its method only."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings
from dicom_node.analysis.configuration import analysis_config_of
from dicom_node.analysis.offline import source_files
from dicom_node.analysis.worker.inputs import source_digest
from dicom_node.analysis.worker.messages import Analysed, AnalysisRequest, SourceFile
from dicom_node.analysis.worker.series_task import _read_kept, results_of
from dicom_node.errors import CannotRepeat
from pipeline.analysis_file import read, to_bytes
from pipeline.options import METHOD
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from tests.support.samples.encode_samples import analysis
from tests.support.scanner_groups import GROUP_HIGH, GROUP_LOW, OWN, write_model_with_groups


@pytest.fixture
def wanted(tmp_path: Path) -> AnalysisRequest:
    """A request, and a kept analysis of its instances and its model."""
    made = AnalysisRequest(
        series_instance_uid="1.2.3",
        files=tuple(
            SourceFile(path=tmp_path / name, sop_instance_uid=f"1.2.3.{name}", digest=name * 64)
            for name in "12"
        ),
        config=analysis_config_of(Settings()),
        created=datetime(2026, 1, 1, tzinfo=UTC),
        kept=tmp_path / "analysis.npz",
    )
    found = analysis()
    made_by = replace(found.provenance, weights_sha256=made.config.model.sha256)
    kept = to_bytes(replace(found, provenance=made_by), source_digest(made), METHOD)
    (tmp_path / "analysis.npz").write_bytes(kept)
    return made


def test_it_is_read_for_the_instances_and_the_model_that_it_is_of(wanted: AnalysisRequest) -> None:
    assert wanted.kept is not None
    found, kept = _read_kept(wanted, wanted.kept)
    assert kept == wanted.kept.read_bytes()
    assert found.lesions == analysis().lesions


def test_it_is_not_issued_for_other_instances(wanted: AnalysisRequest) -> None:
    first, second = wanted.files
    others = (
        (first,),
        (first, replace(second, digest="3" * 64)),
        (first, replace(second, sop_instance_uid="1.2.3.4")),
    )
    for files in others:
        with pytest.raises(CannotRepeat, match="of other instances"):
            _read_kept(replace(wanted, files=files), wanted.kept or Path())


def test_it_is_not_issued_for_another_model(wanted: AnalysisRequest) -> None:
    model = replace(wanted.config.model, sha256="0" * 64)
    other = replace(wanted, config=replace(wanted.config, model=model))
    with pytest.raises(CannotRepeat, match="of another model"):
        _read_kept(other, wanted.kept or Path())


def test_it_is_not_issued_by_another_method(wanted: AnalysisRequest) -> None:
    assert wanted.kept is not None
    found, source = read(wanted.kept)
    wanted.kept.write_bytes(to_bytes(found, source, METHOD - 1))
    with pytest.raises(CannotRepeat, match="of an earlier method: reprocess it"):
        _read_kept(wanted, wanted.kept)


def test_bounds_are_chosen_by_the_scanner_that_the_images_name(tmp_path: Path) -> None:
    shape = (20, 32, 32)
    spec = PhantomSpec(seed=1, slices=shape[0], size=shape[1], spacing_mm=10.0, lesions=0)
    series = phantom_datasets(make_phantom(spec), seed=1)
    folder = write_model_with_groups(tmp_path / "model")
    settings = Settings.model_validate(
        {"analysis": {"model": folder, "bounds_by_scanner": True}, "selection": {"min_slices": 3}}
    )
    undecided = analysis(shape, score=0.7)

    def summary_of(settings: Settings, place: Path) -> Mapping[str, Any]:
        write_series(series, place)
        request = AnalysisRequest(
            series_instance_uid=str(series[0].SeriesInstanceUID),
            files=tuple(source_files(sorted(place.glob("*.dcm")))),
            config=analysis_config_of(settings),
            created=datetime(2026, 1, 1, tzinfo=UTC),
            kept=place / "analysis.npz",
        )
        made_by = replace(undecided.provenance, weights_sha256=request.config.model.sha256)
        kept = to_bytes(replace(undecided, provenance=made_by), source_digest(request), METHOD)
        (place / "analysis.npz").write_bytes(kept)
        made = results_of(request)
        assert isinstance(made, Analysed)
        return made.summary

    own = summary_of(settings, tmp_path / "own")
    for dataset in series:
        dataset.ManufacturerModelName = "Another"
    other = summary_of(settings, tmp_path / "other")

    assert own["acquisition"]["scanner"] == OWN
    assert (own["indeterminate_from"], own["threshold"], own["answer"]) == (
        *(GROUP_LOW, GROUP_HIGH),
        "indeterminate",
    )
    assert own["scanner_bounds"]["group"] == "north"
    assert own["provenance"]["parameters"]["bounds by scanner"] == "yes"
    assert other["answer"] == "above"
    assert other["scanner_bounds"]["group"] == ""
