"""The paper's Table II: its numbers come out of our table, under their right names.

Wang et al. 2020 print accuracy, "PPV" and "NPV" at nine thresholds for 75 positive and 56
negative scans. All 27 cells are those of accuracy, sensitivity and specificity.
"""

import csv
import io
from itertools import pairwise

import pytest

from pipeline.evaluation.summary import Evaluation, evaluate
from pipeline.metrics.scores import read_scores
from tests.support.paths import ROOT

TABLES = ROOT / "docs" / "tables"
POSITIVES, NEGATIVES = 75, 56
PRINTED = {  # threshold: accuracy, "PPV", "NPV" as the paper has them
    0.1: (0.893, 0.933, 0.839),
    0.2: (0.908, 0.880, 0.946),
    0.3: (0.908, 0.867, 0.964),
    0.4: (0.901, 0.840, 0.982),
    0.5: (0.901, 0.840, 0.982),
    0.6: (0.878, 0.800, 0.982),
    0.7: (0.870, 0.787, 0.982),
    0.8: (0.855, 0.760, 0.982),
    0.9: (0.847, 0.733, 1.000),
}
TRUE_VALUES = {  # PPV, NPV
    0.1: (0.886, 0.904),
    0.2: (0.957, 0.855),
    0.3: (0.970, 0.844),
    0.4: (0.984, 0.821),
    0.5: (0.984, 0.821),
    0.6: (0.984, 0.786),
    0.7: (0.983, 0.775),
    0.8: (0.983, 0.753),
    0.9: (1.000, 0.737),
}


def scores_of_the_paper() -> str:
    """CSV of scores in the middles of the tenths, as many in each as the printed shares ask for."""
    called = {
        1: [round(sensitivity * POSITIVES) for _, sensitivity, _ in PRINTED.values()],
        0: [NEGATIVES - round(specificity * NEGATIVES) for _, _, specificity in PRINTED.values()],
    }
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("patient", "label", "score"))
    number = 0
    for label, total in ((1, POSITIVES), (0, NEGATIVES)):
        for tenth, (above, further) in enumerate(pairwise([total, *called[label], 0])):
            for _ in range(above - further):
                number += 1
                writer.writerow((f"{number:03d}", label, f"{tenth / 10 + 0.05:.2f}"))
    return stream.getvalue()


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    path = tmp_path_factory.mktemp("table-2") / "scores.csv"
    path.write_text(scores_of_the_paper())
    return evaluate(read_scores(path))


def test_the_numbers_come_out_under_their_right_names(evaluation: Evaluation) -> None:
    assert (evaluation.cases, evaluation.positives, evaluation.negatives) == (131, 75, 56)
    for row in evaluation.grid:
        found = (row.accuracy.value, row.sensitivity.value, row.specificity.value)
        assert tuple(round(share, 3) for share in found) == PRINTED[row.threshold]


def test_what_the_paper_calls_ppv_and_npv_is_not_ppv_and_npv(evaluation: Evaluation) -> None:
    for row in evaluation.grid:
        assert row.ppv is not None
        assert row.npv is not None
        found = round(row.ppv.value, 3), round(row.npv.value, 3)
        assert found == TRUE_VALUES[row.threshold]
        assert found != PRINTED[row.threshold][1:]


def test_intervals_at_one_half(evaluation: Evaluation) -> None:
    row = evaluation.chosen
    found = {
        name: (round(share.low, 3), round(share.high, 3))
        for name in ("sensitivity", "specificity", "ppv", "npv", "accuracy")
        if (share := getattr(row, name)) is not None
    }
    assert found == {
        "sensitivity": (0.741, 0.906),
        "specificity": (0.906, 0.997),
        "ppv": (0.917, 0.997),
        "npv": (0.713, 0.894),
        "accuracy": (0.838, 0.941),
    }


def test_the_scores_in_docs_are_these() -> None:
    assert (TABLES / "table-2.csv").read_text() == scores_of_the_paper()


def test_the_table_in_docs_is_ours(evaluation: Evaluation) -> None:
    text = (TABLES / "table-2.md").read_text()
    for row in evaluation.grid:
        accuracy, called_ppv, called_npv = PRINTED[row.threshold]
        assert row.ppv is not None
        assert row.npv is not None
        shares = (row.accuracy, row.sensitivity, row.specificity, row.ppv, row.npv)
        cells = (
            f"{row.threshold:.1f}",
            f"{row.true_positives} {row.false_positives} "
            f"{row.false_negatives} {row.true_negatives}",
            *(f"{share.value:.3f} ({share.low:.3f}–{share.high:.3f})" for share in shares),
            f"{accuracy:.3f} / {called_ppv:.3f} / {called_npv:.3f}",
        )
        assert f"| {' | '.join(cells)} |" in text
