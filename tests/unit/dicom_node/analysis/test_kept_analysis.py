"""A kept analysis is issued again for its own instances, its own model and its method only."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.settings import Settings
from dicom_node.analysis.configuration import analysis_config_of
from dicom_node.analysis.worker.inputs import source_digest
from dicom_node.analysis.worker.messages import AnalysisRequest, SourceFile
from dicom_node.analysis.worker.series_task import _read_kept
from dicom_node.errors import CannotRepeat
from pipeline.analysis_file import read, to_bytes
from pipeline.options import METHOD
from tests.support.samples.encode_samples import analysis


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
