"""Results of this node that are sent back are known for what they are, of whatever kind."""

import pytest
from pydicom import Dataset

from pipeline.encode.bundle import encode
from pipeline.encode.result.identity import Rejection, ReportReference
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.result.products import Products
from pipeline.encode.sr.notice import not_analysed
from pipeline.encode.sr.rejection_note import rejection_note
from pipeline.series.image_rules import SelectionRules
from tests.support.eligibility import why_not
from tests.support.samples.encode_samples import EQUIPMENT, analysis, context, ct_series

RULES = SelectionRules(own_uids=frozenset({EQUIPMENT.device_uid}))


@pytest.fixture(scope="module")
def results() -> dict[ResultKind, Dataset]:
    series = ct_series()
    everything = Products(summary_pdf=True, parametric_map=True, key_images=True)
    bundle = encode(series, analysis(), context(products=everything))
    notice = not_analysed(series.headers, "gap", "a slice is missing", context())
    old = ReportReference(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.7",
        sop_instance_uid="2.25.1",
        series_instance_uid="2.25.2",
        study_instance_uid="2.25.3",
    )
    rejection = Rejection(destination="PACS", objects=(old,))
    note = rejection_note(series.common.header, rejection, context())
    return {item.kind: item.dataset for item in bundle.objects} | {
        ResultKind.NOTICE: notice,
        ResultKind.REJECTION_NOTE: note,
    }


@pytest.mark.parametrize("kind", ResultKind)
def test_own_results_are_known_by_their_equipment(
    results: dict[ResultKind, Dataset], kind: ResultKind
) -> None:
    reason = why_not([results[kind]], RULES)
    assert reason is not None
    assert reason.code == "own-result"


@pytest.mark.parametrize("kind", ResultKind)
def test_results_of_an_earlier_model_are_known_by_their_maker(
    results: dict[ResultKind, Dataset], kind: ResultKind
) -> None:
    later = SelectionRules(own_uids=frozenset({"2.25.1", EQUIPMENT.station_uid}))
    reason = why_not([results[kind]], later)
    assert reason is not None
    assert reason.code == "own-result"


@pytest.mark.parametrize("kind", ResultKind)
def test_results_of_others_are_no_ct_either(
    results: dict[ResultKind, Dataset], kind: ResultKind
) -> None:
    reason = why_not([results[kind]], SelectionRules(own_uids=frozenset({"2.25.1"})))
    assert reason is not None
    assert reason.code == "not-ct"
