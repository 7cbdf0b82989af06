"""Agreement beyond chance, against worked examples of others."""

from __future__ import annotations

import pytest

from pipeline.metrics.agreement import AgreementTable, kappa, observed_agreement
from pipeline.metrics.statistics import NO_SPREAD


def test_kappa_is_that_of_a_worked_example() -> None:
    """20, 5, 10, 15 of 50: 0.70 agree, 0.50 by chance (en.wikipedia.org/wiki/Cohen's_kappa)."""
    table = AgreementTable(
        both_positive=20, positive_negative=5, negative_positive=10, both_negative=15
    )

    found = kappa(table)

    assert found is not None
    assert found.value == pytest.approx(0.4)
    # with a standard error of 0.1266 by the formula of Fleiss, Cohen and Everitt
    assert (found.low, found.high) == (
        pytest.approx(0.152, abs=1e-3),
        pytest.approx(0.648, abs=1e-3),
    )
    share = observed_agreement(table)
    assert share is not None
    assert (share.count, share.total) == (35, 50)


def test_without_cases_or_with_one_answer_alone_there_is_nothing_to_say() -> None:
    assert observed_agreement(AgreementTable()) is None
    assert kappa(AgreementTable()) is None
    assert kappa(AgreementTable(both_negative=7)) is None


def test_full_agreement_and_full_disagreement_are_the_ends() -> None:
    agree = kappa(AgreementTable(both_positive=5, both_negative=5))
    differ = kappa(AgreementTable(positive_negative=5, negative_positive=5))

    assert agree is not None
    assert differ is not None
    assert (agree.why_unknown, differ.why_unknown) == (NO_SPREAD, NO_SPREAD)
    assert (agree.value, differ.value) == (pytest.approx(1), pytest.approx(-1))
