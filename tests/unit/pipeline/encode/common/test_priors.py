"""Comparison with earlier results of the patient: in words, and in every result."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from pipeline.decision import without_lesions
from pipeline.encode.common.sentences import prior_sentences, ready_sentence
from pipeline.encode.sr.text_report import text_report
from pipeline.encode.summary import summary
from tests.support.samples.encode_samples import analysis, context, ct_series, prior
from tests.unit.pipeline.encode.sr.test_report import groups, items, numbers, written

LATEST = (
    "Compared with 2026-10-01 (same model): share of both lungs taken: 3.1 % -> 6.1 % "
    "(+3.0 percentage points), score 0.41 -> 0.87."
)


def test_involvement_and_score_are_compared() -> None:
    assert prior_sentences(analysis(), (prior(),)) == (LATEST,)


def test_the_difference_is_that_of_the_figures_shown() -> None:
    assert (
        "6.2 % -> 6.1 % (-0.1 percentage" in prior_sentences(analysis(), (prior(total=0.0616),))[0]
    )
    assert (
        "6.1 % -> 6.1 % (+0.0 percentage" in prior_sentences(analysis(), (prior(total=0.0614),))[0]
    )


def test_scores_of_another_model_are_not_compared() -> None:
    (said,) = prior_sentences(analysis(), (prior(model="EvidenceNet 2.0"),))

    assert "(another model, EvidenceNet 2.0)" in said
    assert said.endswith("; scores of different models do not compare.")
    assert "0.41" not in said


def test_another_threshold_is_named() -> None:
    (said,) = prior_sentences(analysis(), (prior(threshold=0.405),))

    assert said.endswith("score 0.410 -> 0.870, threshold 0.405 -> 0.500.")


def test_of_three_answers_both_are_named() -> None:
    now = analysis()
    called = replace(now.classification, threshold=0.5, indeterminate_from=0.2)
    now = replace(now, classification=called)

    (same,) = prior_sentences(now, (prior(indeterminate_from=0.2),))
    (other,) = prior_sentences(now, (prior(),))

    to = "-> 0.87 (score above the indeterminate range)"
    assert same.endswith(f", 0.41 (score indeterminate) {to}.")
    bounds = "; the bounds of the answers were others"
    assert other.endswith(f", 0.41 (score not above threshold) {to}{bounds}.")


def test_the_summary_gives_the_answer_of_that_time() -> None:
    (values,) = summary(ct_series(), analysis(), (prior(indeterminate_from=0.2),))["priors"]

    assert (values["indeterminate_from"], values["answer"]) == (0.2, "indeterminate")


def test_the_ready_sentence_names_the_latest_only() -> None:
    earlier = (prior(), prior(study_date=date(2026, 3, 1)))
    said = ready_sentence(ct_series(), analysis(), earlier)

    assert f" {LATEST} " in said
    assert "2026-03-01" not in said


def test_the_summary_lists_them() -> None:
    (values,) = summary(ct_series(), analysis(), (prior(),))["priors"]

    assert values["study_date"] == "2026-10-01"
    assert values["sentence"] == LATEST
    assert values["involvement"] == {"right": 0.04, "left": 0.02, "total": 0.031}
    assert summary(ct_series(), analysis())["priors"] == []


def numbers_of_the_whole(model: str) -> dict[str, tuple[float, str]]:
    _, sr = written(ct_series(), analysis(), priors=(prior(model=model),))
    return numbers(groups(sr)[0])


def test_the_report_measures_the_change() -> None:
    values = numbers_of_the_whole("DeCoVNet 1.0.0")

    assert values["SHARE-CHANGE"] == (3.0, "%")
    assert values["SCORE-CHANGE"] == (0.46, "1")
    assert "SCORE-CHANGE" not in numbers_of_the_whole("EvidenceNet 2.0")


def test_both_reports_name_the_earlier_reports() -> None:
    earlier = (prior(), prior(study_date=date(2026, 3, 1)))
    _, measured = written(ct_series(), analysis(), priors=earlier)

    for report in (measured, text_report(ct_series(), analysis(), context(priors=earlier))):
        said = [item.TextValue for item in items(report) if item.ValueType == "TEXT"]
        study = report.PertinentOtherEvidenceSequence[0]
        listed = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
        assert LATEST in said
        assert study.StudyInstanceUID == "1.2.4.1"
        assert listed[0].ReferencedSOPInstanceUID == "1.2.4.7"


def test_shares_that_are_not_reported_are_not_compared() -> None:
    found = without_lesions(analysis())
    (sentence,) = prior_sentences(found, (prior(),))
    assert "-> not reported" in sentence
    assert "percentage points" not in sentence
