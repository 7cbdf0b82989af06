"""A record says what registries ask, names nobody, and stays when its series is erased."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from dicom_node.audit.decisions import DecisionLog
from dicom_node.errors import NodeError
from dicom_node.governance.registry import COLUMNS, as_csv, as_json
from dicom_node.governance.result_records import FIELDS, Record, record_of, records
from dicom_node.maintenance.retention import RowRetention
from dicom_node.maintenance.stored_data import chosen, erase
from dicom_node.resources import Resources
from pipeline.feedback.diagnosis import SCHEME
from storage.database.schema import Base, Series
from storage.database.watch_tables import SeriesEquipment
from storage.files.decision_log import read_decisions
from storage.files.folder import StorageFolder
from storage.files.identity_key import NO_KEY, IdentityKey
from storage.results.feedback import NewAnswer, NewDocument, enter_feedback
from storage.results.made_results import MadeResult
from storage.series.instances import record_instance
from storage.series.lifecycle import claim_next, close, leave, receiving
from storage.states import SeriesState
from tests.support.dispatcher_samples import NOW, RESULT, Workers, dispatcher, open_resources
from tests.unit.dicom_node.maintenance.test_feedback_cases import answer
from tests.unit.dicom_node.maintenance.test_retention import (
    after,
    arrive,
    deliver,
    instance,
    touch,
)

SUMMARY: dict[str, Any] = {
    "person": {"sex": "F", "age": "60-69"},
    "geometry": {
        "slices": 120,
        "spacing_mm": 2.5,
        "coverage_mm": 297.5,
        "completeness": "complete, proved",
        "closed_by": "count",
    },
    "protocol": {"slice_thickness_mm": 2.5, "kvp": 120.0, "contrast": False},
    "threshold": 0.44,
    "indeterminate_from": 0.2,
    "answer": "above",
    "involvement": {"total": 0.1234},
    "opacities_ml": {"ground_glass": 210.5, "consolidation": 12.0},
    "lesions": [{}, {}],
    "flags": ["contrast-medium"],
    "doubts": [{"code": "contrast-medium", "text": "mediastinum 142 HU"}],
    "provenance": {"manifest_sha256": "ab" * 32, "software_version": "0.1.0", "seconds": 9.5},
    "priors": [{"study_date": "2019-05-04"}],
}
MADE = MadeResult(
    key="k1",
    series_instance_uid="2.25.2",
    study_instance_uid="2.25.3",
    patient_key="p",
    study_date="20240517",
    created_at=datetime(2024, 5, 18, tzinfo=UTC),
    revision=2,
    is_latest=True,
    model="m 1",
    score=0.71239,
    positive=True,
    summary=json.dumps(SUMMARY),
    manufacturer="Maker",
    scanner_model="One",
    software="V1",
    kernel="B31f",
)
KEY = IdentityKey(b"k" * 32)


def test_a_record_has_every_field_and_reduces_what_could_name_somebody() -> None:
    record = record_of(MADE, [answer("accepted"), answer("accepted", "opacity-2")], KEY)

    assert {group: set(values) for group, values in record.items()} == {
        group: set(names) for group, names in FIELDS.items()
    }
    assert record["study"]["month"] == "2024-05"
    assert record["person"] == {"sex": "F", "age": "60-69"}
    assert record["result"]["score"] == 0.7124
    assert record["result"]["lungs_percent"] == 12.3
    assert record["agreement"] == {"readers": {"accepted": 1}, "diagnosis": ""}
    digests = [record["study"][name] for name in ("record", "study", "patient")]
    assert [len(digest) for digest in digests] == [16, 16, 16]
    assert len(set(digests)) == 3
    text = json.dumps(record)
    for named in ("2.25.2", "2.25.3", "20240517", "2024-05-17", "2024-05-18", "2019", "142"):
        assert named not in text
    assert record_of(MADE, [], IdentityKey(b"o" * 32))["study"]["study"] != digests[1]


def test_final_diagnoses_are_told_apart_from_answers_and_what_does_not_stand_is_left_out() -> None:
    imported = {"reason_scheme": SCHEME, "calling_ae": ""}
    positive = answer("accepted", reason_code="positive", **imported)
    negative = answer("rejected", reason_code="negative", **imported)
    gone = answer("rejected", superseded=True)

    said = record_of(MADE, [positive, gone, answer("modified")], KEY)["agreement"]

    assert said == {"readers": {"modified": 1}, "diagnosis": "positive"}
    assert record_of(MADE, [positive, negative], KEY)["agreement"]["diagnosis"] == ""


def test_what_an_earlier_version_did_not_say_is_empty() -> None:
    record = record_of(replace(MADE, summary="{}", study_date="", patient_key=""), [], NO_KEY)

    assert record["person"] == {"sex": None, "age": None}
    assert record["study"] == dict.fromkeys(FIELDS["study"], "") | {"erased": False}
    assert record["result"]["month"] == "2024-05"
    answers = [
        record_of(replace(MADE, summary="{}", positive=positive), [], KEY)["result"]["answer"]
        for positive in (True, False, None)
    ]
    assert answers == ["above", "below", None]
    (_, line) = csv.reader(io.StringIO("".join(as_csv([record]))))
    assert line[COLUMNS.index("protocol_kvp")] == ""


def test_csv_and_json_say_the_same_and_no_cell_is_a_formula() -> None:
    record = record_of(replace(MADE, manufacturer="=1+1"), [answer("accepted")], KEY)

    (row,) = csv.DictReader(io.StringIO("".join(as_csv([record]))))
    assert row["equipment_manufacturer"] == "'=1+1"
    assert row["agreement_readers"] == "1 accepted"
    assert row["result_superseded"] == "no"
    assert row["result_flags"] == "contrast-medium"
    assert json.loads("".join(as_json([record, record]))) == [record, record]
    assert json.loads("".join(as_json([]))) == []


@pytest.fixture
def resources(tmp_path: Path) -> Iterator[Resources]:
    """A series with two results, the second in place of the first; delivered."""
    (tmp_path / "data").mkdir()
    found = open_resources(tmp_path / "data")
    found = replace(found, decisions=DecisionLog(found.folder.root, lambda: NOW))
    with closing(found):
        arrive(found, "2.25.11", "2.25.12")
        with found.sessions.begin() as session:
            session.execute(update(Series).values(study_date="20240517", patient_key="4711"))
            session.execute(update(SeriesEquipment).values(manufacturer="Maker", model="One"))
        first = replace(RESULT, summary=SUMMARY)
        others = [
            replace(one, sop_instance_uid=f"{one.sop_instance_uid}.1") for one in first.objects
        ]
        again = replace(first, key="k2", inputs="i2", score=0.2, objects=tuple(others))
        workers = Workers(first, again)
        dispatcher(found, workers).dispatch()
        deliver(found)
        arrive(found, "2.25.13")
        dispatcher(found, workers).dispatch()
        deliver(found)
        yield found


def listed(resources: Resources, **how: datetime) -> list[Record]:
    return list(records(resources.sessions, KEY, **how))


@pytest.mark.database
def test_every_result_has_a_record_and_says_whether_another_took_its_place(
    resources: Resources,
) -> None:
    first, second = listed(resources)

    assert (first["result"]["superseded"], second["result"]["superseded"]) == (True, False)
    assert first["study"]["study"] == second["study"]["study"]
    assert first["study"]["record"] != second["study"]["record"]
    assert first["equipment"]["manufacturer"] == "Maker"
    assert listed(resources, since=NOW + timedelta(seconds=1)) == []


@pytest.mark.database
def test_of_an_erased_series_coarse_records_stay_with_nothing_that_says_whose_they_were(
    resources: Resources,
) -> None:
    before = list(records(resources.sessions, resources.identity_key))
    erase(resources, ["2.25.2"], by="anna")

    kept = listed(resources)

    for results in ([one["result"] for one in kept], [one["result"] for one in before]):
        assert sorted(one["score"] for one in results) == [0.2, 0.7]
        assert {one["answer"] for one in results} == {"above"}
    assert {one["result"]["ground_glass_ml"] for one in before} == {210.5}
    assert {one["result"]["ground_glass_ml"] for one in kept} == {210.0}
    assert [one["study"]["erased"] for one in kept] == [True, True]
    assert {one["study"][name] for one in kept for name in ("study", "patient")} == {""}
    ours, theirs = ([one["study"]["record"] for one in them] for them in (before, kept))
    assert len({*ours, *theirs}) == 4
    assert theirs == sorted(theirs)  # by chance, not in the order of the log of decisions
    with resources.sessions.reading() as session:
        cells = [
            str(value)
            for table in Base.metadata.sorted_tables
            for row in session.execute(select(table))
            for value in row
        ]
    digests = {resources.identity_key.digest(uid) for uid in ("2.25.2", "2.25.3", "4711")}
    digests |= set(ours)
    for named in ("2.25.2", "2.25.3", "4711", "20240517", *digests):
        assert not [cell for cell in cells if named in cell], named


def receive_answer(resources: Resources) -> None:
    """A reader rejects both results, in a document whose series has a lower UID than theirs."""
    document = replace(
        instance("2.25.50"),
        series_instance_uid="2.25.1",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.59",
        path="incoming/00/2.25.50.dcm",
        is_document=True,
    )
    with resources.sessions.begin() as session:
        record_instance(session, document, NOW)
        for series in receiving(session):
            close(session, series, NOW)
        ticket = claim_next(session, NOW)
        assert ticket is not None
        leave(session, ticket, NOW, new=SeriesState.FEEDBACK)
        said = NewAnswer(answer="rejected", subjects=("2.25.9",))
        enter_feedback(session, ticket, [NewDocument(document_uid="2.25.50", answers=(said,))], NOW)


@pytest.mark.database
def test_of_an_erased_study_the_answers_stay_whichever_series_came_first(
    resources: Resources,
) -> None:
    receive_answer(resources)
    assert [one["agreement"]["readers"] for one in listed(resources)] == [{"rejected": 1}] * 2

    erase(resources, chosen(resources, None, "2.25.3"), by="anna")

    assert [one["agreement"]["readers"] for one in listed(resources)] == [{"rejected": 1}] * 2


class Stuck(StorageFolder):
    """A folder that lets nothing of a document go."""

    def discard(self, paths: Iterable[str], *, before: datetime) -> dict[str, str]:
        chosen = list(paths)
        if "incoming/00/2.25.50.dcm" in chosen:
            return {"incoming/00/2.25.50.dcm": "Read-only file system"}
        return super().discard(chosen, before=before)


@pytest.mark.database
def test_an_erasure_that_breaks_off_is_recorded_as_far_as_it_came(resources: Resources) -> None:
    receive_answer(resources)
    stuck = replace(resources, folder=Stuck(resources.folder.root, 0))
    uids = chosen(resources, None, "2.25.3")

    with pytest.raises(NodeError, match="Read-only"):
        erase(stuck, uids, by="anna")

    (gone,) = read_decisions(resources.folder.root, "erased")
    assert (gone.facts, gone.by) == ({"series": 1, "results": ["k1", "k2"]}, "anna")

    erase(resources, chosen(resources, None, "2.25.3"), by="berta")

    _, rest = read_decisions(resources.folder.root, "erased")
    assert (rest.facts, rest.by) == ({"series": 1, "results": []}, "berta")


@pytest.mark.database
def test_what_is_erased_while_records_are_read_is_not_given_twice(resources: Resources) -> None:
    given = records(resources.sessions, KEY)
    first = next(given)

    erase(resources, ["2.25.2"], by="anna")

    assert [one["result"]["revision"] for one in (first, *given)] == [1, 2]


@pytest.mark.database
def test_what_is_forgotten_by_its_age_leaves_records_and_a_decision(resources: Resources) -> None:
    for key in ("k1", "k2"):
        touch(resources, f"results/{key}", NOW)
    after(resources, 31).run_once()

    keep = timedelta(days=90)
    RowRetention(resources=resources, keep_series=keep).run_once(NOW + timedelta(days=200))

    assert [one["study"]["erased"] for one in listed(resources)] == [True, True]
    (gone,) = read_decisions(resources.folder.root, "erased")
    assert gone.facts == {"series": 1, "results": ["k1", "k2"], "rule": "series_days"}
    assert gone.by == "node"
