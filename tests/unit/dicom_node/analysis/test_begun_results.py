"""Objects that come first are handed over; an attempt that broke off after that is completed."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.settings import Settings
from dicom_node.analysis.configuration import analysis_config_of
from dicom_node.analysis.worker.inputs import inputs_of
from dicom_node.analysis.worker.messages import (
    Analysed,
    AnalysisRequest,
    Begun,
    occasion,
    read_occasion,
)
from dicom_node.analysis.worker.series_task import as_begun, encode_decided, is_readable
from dicom_node.analysis.worker.stopwatch import Stopwatch
from pipeline.encode.result.identity import result_key
from pipeline.encode.result.kinds import comes_first
from tests.support.samples.encode_samples import analysis, ct_series

CREATED = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)


@pytest.fixture
def request_now() -> AnalysisRequest:
    return AnalysisRequest(
        series_instance_uid="1.2.3.2",
        files=(),
        config=analysis_config_of(Settings()),
        created=CREATED,
        draw="now",
    )


def begun_of(request: AnalysisRequest, inputs: str) -> Begun:
    return Begun(
        key=result_key(inputs, occasion(CREATED, "before")),
        created=CREATED,
        draw="before",
        revision=3,
        predecessor=None,
        superseded={},
        rejections=(),
        kept=Path("analysis.npz"),
    )


def test_what_comes_first_is_handed_over_and_is_part_of_the_whole(
    request_now: AnalysisRequest,
) -> None:
    handed: list[Analysed] = []
    whole = encode_decided(
        request_now, ct_series(), analysis(), lambda: b"kept", Stopwatch(), handed.append
    )

    (first,) = handed
    assert (first.key, first.kept, first.occasion) == (whole.key, b"kept", whole.occasion)
    assert first.objects == whole.objects[: len(first.objects)]
    assert {comes_first(one.kind) for one in first.objects} == {True}
    assert {one.kind for one in whole.objects[len(first.objects) :]} == {"heatmap"}


def test_an_occasion_is_read_as_it_was_written() -> None:
    assert read_occasion(occasion(CREATED, "x1")) == (CREATED, "x1")


def test_a_result_that_was_begun_of_these_inputs_is_asked_for(request_now: AnalysisRequest) -> None:
    inputs = inputs_of(request_now)
    begun = begun_of(request_now, inputs)
    asked = as_begun(replace(request_now, begun=begun), inputs)
    assert result_key(inputs, asked.occasion) == begun.key
    assert (asked.revision, asked.kept) == (3, begun.kept)


def test_a_result_that_was_begun_of_other_inputs_is_not(request_now: AnalysisRequest) -> None:
    now = replace(request_now, begun=begun_of(request_now, "other inputs"))
    assert as_begun(now, inputs_of(now)) is now


def test_an_analysis_that_cannot_be_read_is_of_no_use(tmp_path: Path) -> None:
    assert not is_readable(tmp_path / "none.npz")
    (tmp_path / "some.npz").write_bytes(b"PK\x03\x04 and no more")
    assert not is_readable(tmp_path / "some.npz")
