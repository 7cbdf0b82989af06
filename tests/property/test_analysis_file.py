"""A kept analysis is read back to the last bit, or not at all."""

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.analysis_file import METHOD_BEFORE, read, read_values, to_bytes
from pipeline.errors import PipelineError
from pipeline.lobar_extent import Fissure, FissureEvidence, LobarExtent, Lobe, LobeExtent
from pipeline.low_attenuation import LowAttenuation
from pipeline.opacity_content import content_of
from pipeline.types import (
    Analysis,
    Classification,
    Doubt,
    Involvement,
    Lesion,
    LungMask,
    PredictionSet,
    Provenance,
    ScoreClass,
    Side,
)
from tests.support.samples.encode_samples import analysis

number = st.floats(allow_nan=False, allow_infinity=False)
words = st.text(max_size=20)
doubts = st.lists(st.builds(Doubt, code=words, text=words), max_size=3).map(tuple)
moment = st.datetimes(
    timezones=st.integers(-720, 840).map(lambda m: timezone(timedelta(minutes=m)))
)
shapes = st.tuples(*[st.integers(1, 5)] * 3)
array = arrays.arrays(np.uint8, st.shared(shapes, key="shape"))

analyses = st.builds(
    Analysis,
    lungs=st.builds(LungMask, labels=array, method=words, doubts=doubts),
    classification=st.builds(
        Classification,
        score=number,
        threshold=number,
        operating_point=words,
        prediction_set=st.none()
        | st.builds(
            PredictionSet,
            coverage=number,
            classes=st.lists(st.sampled_from(ScoreClass), max_size=2).map(tuple),
        ),
    ),
    activation=array,
    lesion_labels=array,
    lesions=st.lists(
        st.builds(
            Lesion,
            number=st.integers(1, 255),
            side=st.sampled_from(Side),
            volume_mm3=number,
            centroid_mm=st.tuples(number, number, number),
            mean_hu=number,
            activation=number,
            key_slice=st.integers(0, 999),
            long_axis_mm=st.none() | number,
            consolidation_mm3=st.none() | number,
        ),
        max_size=3,
    ).map(tuple),
    involvement=st.builds(
        Involvement, right_ml=number, left_ml=number, right=number, left=number, total=number
    ),
    provenance=st.builds(
        Provenance,
        model_name=words,
        model_version=words,
        weights_sha256=words,
        software_version=words,
        device=words,
        started=moment,
        finished=moment,
        parameters=st.dictionaries(words, words, max_size=3),
    ),
    flags=st.lists(words, max_size=3).map(tuple),
    doubts=doubts,
    low_attenuation=st.none() | st.builds(LowAttenuation, right_ml=number, left_ml=number),
    lobar=st.none()
    | st.builds(
        LobarExtent,
        lobes=st.lists(
            st.builds(LobeExtent, lobe=st.sampled_from(Lobe), volume_ml=number, opaque_ml=number),
            max_size=3,
        ).map(tuple),
        fissures=st.lists(
            st.builds(
                FissureEvidence, fissure=st.sampled_from(Fissure), seen=number, contrast=number
            ),
            max_size=3,
        ).map(tuple),
    ),
)


@settings(max_examples=60, deadline=None)
@given(found=analyses, source=words)
def test_what_is_read_is_what_was_written(found: Analysis, source: str) -> None:
    raw = to_bytes(found, source, 7)
    back, source_back = read(BytesIO(raw))

    values = read_values(BytesIO(raw))
    assert source_back == source == values.source
    assert values.method == 7
    assert back.lungs.labels.tobytes() == found.lungs.labels.tobytes()
    assert back.lungs.labels.shape == found.lungs.labels.shape
    assert (back.lungs.method, back.lungs.doubts) == (found.lungs.method, found.lungs.doubts)
    for field in fields(Analysis):
        if field.name != "lungs":
            kept, was = getattr(back, field.name), getattr(found, field.name)
            same = np.array_equal(kept, was) if isinstance(was, np.ndarray) else kept == was
            assert same, field.name


def test_the_same_analysis_gives_the_same_bytes() -> None:
    assert to_bytes(analysis(), "s", 7) == to_bytes(analysis(), "s", 7)


def test_an_analysis_of_before_these_measurements_is_read_without_them() -> None:
    plain = json.loads(read_archive(to_bytes(analysis(), "s", 7))["values"].tobytes())
    del plain["low_attenuation"], plain["lobar"], plain["method"]
    for lesion in plain["lesions"]:
        del lesion["long_axis_mm"], lesion["consolidation_mm3"]
    older = changed(values=np.frombuffer(json.dumps(plain).encode(), np.uint8))

    back, _ = read(BytesIO(older))

    assert back.low_attenuation is None
    assert read_values(BytesIO(older)).method == METHOD_BEFORE
    assert {(found.long_axis_mm, found.ground_glass_mm3) for found in back.lesions} == {
        (None, None)
    }
    assert content_of(back) is None


def test_values_that_json_does_not_know_are_refused() -> None:
    lesions = (replace(analysis().lesions[0], mean_hu=float("nan")),)
    with pytest.raises(ValueError, match="JSON"):
        to_bytes(analysis(lesions=lesions), "s", 7)


def test_times_come_back_with_their_zone() -> None:
    back, _ = read(BytesIO(to_bytes(analysis(), "s", 7)))
    assert back.provenance.started == datetime(2026, 11, 22, 10, 30, tzinfo=UTC)


def read_archive(raw: bytes) -> dict[str, np.ndarray]:
    with np.load(BytesIO(raw)) as archive:
        return dict(archive)


def changed(**values: np.ndarray) -> bytes:
    entries = read_archive(to_bytes(analysis(), "s", 7))
    buffer = BytesIO()
    np.savez_compressed(buffer, **{**entries, **values})
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "got none"),
        (b"not an archive", "got none"),
        (changed(values=np.frombuffer(b'{"format": 2}', np.uint8)), "format 1, got 2"),
        (changed(values=np.frombuffer(b'{"format": 1}', np.uint8)), "a value is wrong"),
        (changed(values=np.frombuffer(b"{", np.uint8)), "its values cannot be read"),
        (changed(activation=np.zeros((1, 1, 1), np.uint8)), "activation must be"),
        (to_bytes(analysis(), "s", 7)[:-200], "got none"),
    ],
)
def test_what_is_damaged_or_of_another_format_is_refused(raw: bytes, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        read(BytesIO(raw))


def test_an_array_with_objects_is_not_unpickled() -> None:
    with pytest.raises(PipelineError, match="an array cannot be read"):
        read(BytesIO(changed(lungs=np.array([{}], dtype=object))))
