"""The conformance statement, and other documents made from the code, say what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from dicom_node.cli.app import app
from dicom_node.delivery.result_classes import RESULT_CLASSES
from dicom_node.errors import NodeError
from dicom_node.maintenance.conformance_statement import PARTS, fill
from dicom_node.network.sop_classes import ACCEPTED_TRANSFER_SYNTAXES
from pipeline.series.sop_classes import CT_CLASSES
from tests.support.paths import ROOT

STATEMENT = ROOT / "docs" / "conformance-statement.md"
MADE = [
    STATEMENT,
    *(
        ROOT / "docs" / name
        for name in (
            "reasons.md",
            "model-card.md",
            "administrator/settings.md",
            "administrator/monitoring.md",
        )
    ),
]


@pytest.mark.parametrize("document", MADE, ids=lambda path: path.name)
def test_documents_are_up_to_date(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert fill(text) == text


def test_every_part_stands_in_one_document_once() -> None:
    text = "".join(document.read_text(encoding="utf-8") for document in MADE)
    assert {name: text.count(f"<!-- made: {name} -->") for name in PARTS} == dict.fromkeys(PARTS, 1)


def test_it_names_every_class_and_transfer_syntax() -> None:
    text = STATEMENT.read_text(encoding="utf-8")
    sent = (row.sop_class for row in RESULT_CLASSES)
    for uid in (*CT_CLASSES, *ACCEPTED_TRANSFER_SYNTAXES, *sent):
        assert f"`{uid}`" in text


def test_only_the_marked_parts_change(tmp_path: Path) -> None:
    document = tmp_path / "statement.md"
    document.write_text("# Ours\n<!-- made: codes -->\nout of date\n<!-- /made -->\nend\n")
    done = CliRunner().invoke(app, ["conformance", str(document)])
    assert done.exit_code == 0, done.output
    text = document.read_text()
    assert text.startswith("# Ours\n<!-- made: codes -->\n\nCoding scheme")
    assert text.endswith("<!-- /made -->\nend\n")
    assert "out of date" not in text
    assert fill(text) == text


def test_no_private_code_has_two_meanings() -> None:
    rows = [line for line in PARTS["codes"]().splitlines() if line.startswith("| `")]
    values = [row.split("|")[1] for row in rows]
    assert sorted(set(values)) == sorted(values)


def test_an_unknown_part_is_a_fault() -> None:
    with pytest.raises(NodeError, match="got nothing-such"):
        fill("<!-- made: nothing-such -->\n<!-- /made -->")
