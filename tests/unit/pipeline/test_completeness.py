"""The verdict on a series names the proof by which it was taken for complete."""

from dataclasses import replace

import pytest

from pipeline.completeness import with_proof
from pipeline.encode.common.sentences import completeness_sentence
from pipeline.encode.language.languages import Language
from pipeline.encode.language.translation import writing_in
from pipeline.reasons import ClosedBy
from pipeline.types import Completeness, CtSeries
from tests.support.samples.encode_samples import ct_series

STATEMENT = "133 slices, 2.00 mm apart, no gap; the scanner did not announce how many."


def received(completeness: Completeness = Completeness.QUIET) -> CtSeries:
    series = ct_series()
    verdict = replace(series.geometry, completeness=completeness, statement=STATEMENT)
    return replace(series, geometry=verdict)


@pytest.mark.parametrize(
    ("proof", "before", "after"),
    [
        (ClosedBy.PROCEDURE_STEP, Completeness.QUIET, Completeness.PROVED),
        (ClosedBy.WORK_ITEM, Completeness.QUIET, Completeness.PROVED),
        (ClosedBy.AVAILABILITY, Completeness.QUIET, Completeness.PROVED),
        (ClosedBy.ARCHIVE_COUNT, Completeness.QUIET, Completeness.PROVED),
        (ClosedBy.ARCHIVE_COUNT, Completeness.INCOMPLETE, Completeness.INCOMPLETE),
        (ClosedBy.REGULAR_STACK, Completeness.QUIET, Completeness.QUIET),
        (ClosedBy.ANNOUNCED, Completeness.PROVED, Completeness.PROVED),
        (ClosedBy.QUIET, Completeness.QUIET, Completeness.QUIET),
        (ClosedBy.LACKING, Completeness.QUIET, Completeness.INCOMPLETE),
    ],
)
def test_proofs_of_others_prove_and_every_early_one_is_named(
    proof: ClosedBy, before: Completeness, after: Completeness
) -> None:
    geometry = with_proof(received(before), proof).geometry

    assert (geometry.completeness, geometry.closed_by) == (after, proof)
    named = "" if proof is ClosedBy.QUIET else f" {proof.sentence}"
    assert geometry.statement == STATEMENT + named


def test_without_a_proof_nothing_changes() -> None:
    series = received()
    assert with_proof(series, None) is series


@pytest.mark.parametrize("proof", sorted(set(ClosedBy) - {ClosedBy.QUIET}))
def test_the_report_names_it_in_its_language(proof: ClosedBy) -> None:
    series = with_proof(received(), proof)

    assert proof.sentence in completeness_sentence(series)
    with writing_in(Language.GERMAN):
        assert proof.sentence not in completeness_sentence(series)
        assert "slices" not in completeness_sentence(series)
