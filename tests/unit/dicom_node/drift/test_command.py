"""The command `drift accept`."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from dicom_node.cli.app import app
from storage.files.decision_log import read_decisions
from storage.results.drift import Sample, enter_sample, samples_of
from storage.series.instance_facts import EquipmentFacts
from storage.series.instances import record_instance
from tests.support.dispatcher_samples import NOW
from tests.support.reception import open_resources
from tests.support.results_due import CT

CT1 = EquipmentFacts(manufacturer="Maker", station="CT1")


@pytest.mark.parametrize(("name", "status"), [(CT1.scanner, 0), ("Maker CT2", 1)])
def test_a_reference_begins_anew_by_name_also_where_nothing_has_changed(
    tmp_path: Path, name: str, status: int
) -> None:
    resources = open_resources(tmp_path)
    with resources.sessions.begin() as session:
        record_instance(session, CT, NOW)
        enter_sample(session, CT.series_instance_uid, CT1, Sample(figures={"score": 1}), NOW)
    ini = tmp_path / "node.ini"
    ini.write_text(f"[storage]\nfolder = {tmp_path}\n")

    ended = CliRunner().invoke(app, ["drift", "accept", name, "--json", "--config", str(ini)])

    assert ended.exit_code == status
    assert ended.stdout == ("" if status else f'{{\n  "accepted": {{\n    "{name}": 0\n  }}\n}}\n')
    with resources.sessions.reading() as session:
        reference, _ = samples_of(session, CT1.scanner, 9, 9)
    assert len(reference) == (1 if status else 0)
    decided = [(one.what, one.facts) for one in read_decisions(tmp_path)]
    assert decided == ([] if status else [("accepted", {"scanner": name, "changes": []})])
    resources.close()
