"""The command `shadow`, from rows to the exit status."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner, Result

from config.reader import load
from config.settings import Settings
from dicom_node.analysis.configuration import model_of, reference_of
from dicom_node.cli.app import app
from dicom_node.resources import Resources
from storage.database.engine import open_database
from storage.database.schema import Result as ResultRow
from storage.database.schema import ResultObject, Series
from storage.database.sessions import Sessions
from storage.database.watch_tables import ShadowResult
from storage.files.folder import StorageFolder
from storage.results.shadow import NewShadow, ShadowSeries, enter_shadow
from storage.states import SeriesState
from tests.support.dispatcher_samples import NOW, open_resources
from tests.support.samples.second_model import second_model

FEW = (
    "least_patients = 20\nleast_labelled = 10\nmost_changed_percent = 20\nmost_failed_percent = 20"
)


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    """A node that has compared thirty patients."""
    second = reference_of(second_model(tmp_path / "second"))
    resources = open_resources(tmp_path)
    first = model_of(Settings())
    for number in range(30):
        _compared(resources, number, f"{first.name} {first.version}", second.sha256)
    resources.close()
    path = tmp_path / "node.ini"
    path.write_text(
        f"[storage]\nfolder = {tmp_path}\n[shadow]\nmodel = second\n{FEW}\n", encoding="utf-8"
    )
    return path


def _compared(resources: Resources, number: int, model: str, sha256: str) -> None:
    uid, key = f"9.{number}", f"{number:064d}"
    score = number / 30
    with resources.sessions.begin() as session:
        session.add(
            Series(
                series_instance_uid=uid,
                study_instance_uid=f"8.{number}",
                modality="CT",
                sop_class_uid="1.2.3",
                calling_ae="CT1",
                first_at=NOW,
                last_at=NOW,
                since=NOW,
                state=SeriesState.DELIVERED,
                result_key=key,
            )
        )
        session.flush()
        session.add(
            ResultRow(
                key=key,
                series_instance_uid=uid,
                generation=1,
                created_at=NOW,
                model=model,
                score=score,
                positive=score > 0.5,
                summary="{}",
                folder=f"results/{key}",
            )
        )
        session.flush()
        session.add(
            ResultObject(
                sop_instance_uid=f"7.{number}",
                result_key=key,
                kind="report",
                sop_class_uid="1.2.3",
                series_instance_uid=f"6.{number}",
                transfer_syntax_uid="1.2",
                path=f"results/{key}/report.dcm",
                position=0,
            )
        )
        series = ShadowSeries(
            series_instance_uid=uid, result_key=key, folder=f"results/{key}", instances=()
        )
        found = NewShadow(
            model="second 2", manifest_sha256=sha256, score=score, lungs_ml=4000.0, seconds=1.0
        )
        enter_shadow(session, series, found, NOW)


def call(ini: Path, *words: str) -> Result:
    return CliRunner().invoke(
        app, ["shadow", "--days", "36500", *words, "--config", str(ini)], env={"COLUMNS": "200"}
    )


def test_both_models_and_each_condition_are_named(ini: Path) -> None:
    ended = call(ini)

    assert ended.exit_code == 1
    assert "second: second 2" in ended.stdout
    assert "30 series compared, 30 patients counted" in ended.stdout
    assert "score, second less first: mean +0.000" in ended.stdout
    assert "first below, second below: 7 patients" in ended.stdout
    assert "met: at least 20 patients: 30" in ended.stdout
    assert "not met: the truth of at least 10 patients" in ended.stdout
    assert "gate: not passed" in ended.stdout


def test_what_differs_is_named_with_its_place_in_the_console(ini: Path) -> None:
    resources = Resources(
        sessions=Sessions(open_database(load(ini).database_url)),
        folder=StorageFolder(ini.parent, 0),
    )
    with resources.sessions.begin() as session:
        row = session.scalars(select(ShadowResult).where(ShadowResult.id == 1)).one()
        row.score, row.reason = None, "no-lungs: none"
    resources.close()

    assert "000000000000: 0.000 below, no-lungs: none, not known, /series/9.0" in call(ini).stdout


def test_a_program_gets_the_same(ini: Path) -> None:
    said: dict[str, Any] = json.loads(call(ini, "--json").stdout)

    assert (said["is_passed"], said["comparison"]["patients"]) == (False, 30)
    assert [one["is_met"] for one in said["conditions"]] == [True, True, True, False, False]
    assert said["pairs"][0]["reference"] == "0" * 12


def test_pairs_are_written_without_uids(ini: Path, tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    call(ini, "--csv", str(file))

    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 30
    assert rows[3]["first"] == rows[3]["second"] == "0.1"
    assert "9.3" not in file.read_text()


def test_the_gate_opens_where_the_truth_is_known(ini: Path, tmp_path: Path) -> None:
    lines = ["series_instance_uid,diagnosis,date"]
    lines += [f"9.{n},{'positive' if n >= 15 else 'negative'},2024-01-01" for n in range(30)]
    diagnoses = tmp_path / "diagnoses.csv"
    diagnoses.write_text("\n".join(lines) + "\n")
    imported = CliRunner().invoke(app, ["feedback", "import", str(diagnoses), "--config", str(ini)])
    assert imported.exit_code == 0, imported.output

    ended = call(ini, "--csv", str(tmp_path / "pairs.csv"))

    with (tmp_path / "pairs.csv").open(newline="") as rows:
        assert [row["is_positive"] for row in csv.DictReader(rows)] == ["0"] * 15 + ["1"] * 15
    assert "15 patients with the disease and 15 without, 30 by a final diagnosis" in ended.stdout
    assert "gate: passed" in ended.stdout
    assert ended.exit_code == 0


def test_without_a_second_model_it_says_so(tmp_path: Path) -> None:
    path = tmp_path / "node.ini"
    path.write_text(f"[storage]\nfolder = {tmp_path}\n")

    ended = CliRunner().invoke(app, ["shadow", "--config", str(path)])

    assert ended.exit_code == 1
    assert "[shadow] model names its folder" in ended.stderr
