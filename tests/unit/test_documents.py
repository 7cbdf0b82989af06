"""Documents cannot go stale: commands, links, paths, states and symptoms are checked."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer.main

from config.reader import load
from config.settings import RetentionSettings
from dicom_node.cli.app import app
from storage.database import (
    console_tables,  # noqa: F401  # its tables are part of the metadata
    work_item_tables,  # noqa: F401  # likewise
)
from storage.database.schema import Base
from storage.states import SERIES_STEPS
from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text()
COMMANDS = (ROOT / "docs" / "administrator" / "commands.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")),
]
FIELD = ROOT / "docs" / "field.md"
SYMPTOMS = ROOT / "docs" / "administrator" / "troubleshooting.md"
GROWTH = ROOT / "docs" / "administrator" / "storage.md"
TOP = r"(?:dicom_node|pipeline|storage|config|tests|deploy|docs|benchmarks)"


def test_every_command_is_explained() -> None:
    commands = typer.main.get_group(app).commands

    assert [name for name in commands if f"dicom-node {name}" not in COMMANDS] == []
    assert [name for name, command in commands.items() if not command.help] == []


@pytest.mark.parametrize(
    "block",
    [
        block
        for document in DOCUMENTS
        for block in re.findall(r"```ini\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    ],
)
def test_settings_of_the_guides_are_taken(block: str, tmp_path: Path) -> None:
    file = tmp_path / "node.ini"
    file.write_text(f"[storage]\nfolder = data\n\n{block}")

    assert load(file).node.ae_title == "AINODE"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_into_the_repository_lead_somewhere(document: str) -> None:
    path = ROOT / document
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)", path.read_text())

    assert [target for target in targets if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_that_are_named_are_there(document: str) -> None:
    text = (ROOT / document).read_text()
    named = re.findall(rf"`({TOP}/[\w./-]+)(?::(\w+))?`", text)

    for path, definition in named:
        if path.startswith("docs/_build/"):  # made by `make docs`
            continue
        place = ROOT / path
        assert place.exists() or place.with_suffix(".py").exists(), path
        assert not definition or defines(place, definition), f"{path}:{definition}"


def defines(place: Path, name: str) -> bool:
    return re.search(rf"^(def|class) {name}\b", place.read_text(), re.M) is not None


def test_what_the_map_names_in_a_file_is_defined_there() -> None:
    """In the tasks: `Name` in `path`."""
    pairs = re.findall(rf"`(\w+)` (?:in|of) `({TOP}/[\w/]+\.py)`", ARCHITECTURE)

    assert len(pairs) >= 5
    assert [pair for pair in pairs if not defines(ROOT / pair[1], pair[0])] == []


def test_the_modules_in_the_picture_are_there() -> None:
    """The first word of every box, and every name with an underscore, below the folder."""
    picture = ARCHITECTURE.split("```mermaid")[1].split("```")[0]
    folders = re.findall(rf'subgraph \w+\["({TOP}[/\w]*)"\]\n(.*?)\n    end', picture, re.S)

    assert len(folders) >= 4
    for folder, boxes in folders:
        labels = re.findall(r'\[\(?"([^"]+)"', boxes)
        names = {re.split(r"\W", label)[0] for label in labels}
        names |= {name for label in labels for name in re.findall(r"\b[a-z]+_[a-z_]+\b", label)}
        here = {path.stem for path in (ROOT / folder).iterdir()}
        assert names <= here, (folder, names - here)


def test_the_map_has_a_place_for_every_everyday_task() -> None:
    table = ARCHITECTURE.split("## Where do I")[1]
    assert len(re.findall(r"^\| (?!task|---)", table, re.M)) >= 15


def test_the_picture_of_the_states_is_the_table_of_the_states() -> None:
    picture = ARCHITECTURE.split("stateDiagram-v2")[1].split("```")[0]
    steps = set(re.findall(r"^ +([A-Z]+) --> ([A-Z]+)", picture, re.M))

    assert steps == {
        (old.name, new.name) for old, new in SERIES_STEPS.items() for new in SERIES_STEPS[old]
    }


def test_make_knows_the_targets_that_are_named() -> None:
    makefile = (ROOT / "Makefile").read_text()
    developer = (ROOT / "docs" / "developer.md").read_text()
    named = set(re.findall(r"^ +make ([\w-]+)|`make ([\w-]+)", README + developer, re.M))
    named = {name for pair in named for name in pair if name}

    assert {"demo", "test", "docs"} <= named
    assert [name for name in named if not re.search(rf"^{name}:", makefile, re.M)] == []


@pytest.mark.parametrize(("document", "head"), [(FIELD, "| situation"), (SYMPTOMS, "| it says")])
def test_every_situation_is_tested_where_it_says(document: Path, head: str) -> None:
    rows = list(table_rows(document, head))
    assert all(len(row) == 3 for row in rows), [row for row in rows if len(row) != 3]
    tests = [test for row in rows for test in re.findall(r"`(tests/[\w./]+)::(\w+)`", row[2])]

    assert [row[0] for row in rows if "`tests/" not in row[2]] == []
    assert [(file, name) for file, name in tests if not has_test(ROOT / file, name)] == []


def table_rows(document: Path, head: str) -> Iterator[list[str]]:
    """Cells of every row of the tables whose head begins so."""
    for line in document.read_text().splitlines():
        if line.startswith("| ") and not line.startswith((head, "| ---")):
            yield line.strip("| \n").split(" | ")


def test_every_table_is_listed_with_what_bounds_it() -> None:
    text = GROWTH.read_text().partition("| table |")[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    listed = [name for row in rows for name in re.findall(r"`(\w+)`", row[0])]

    assert sorted(listed) == sorted(Base.metadata.tables)
    assert [row for row in rows if len(row) != 3 or not row[2].strip("| ")] == []
    keys = {key for row in rows for key in re.findall(r"`(\w+_days)`", row[2])}
    assert keys <= set(RetentionSettings.model_fields)


def test_every_symptom_is_in_the_words_of_the_program() -> None:
    """Between the places of names and numbers, each piece stands in one text of the code."""
    symptoms = [row[0].strip("`") for row in table_rows(SYMPTOMS, "| it says")]
    pieces = [piece.strip() for symptom in symptoms for piece in symptom.split("…")]

    assert len(symptoms) >= 30
    assert [piece for piece in pieces if piece and not is_said(piece)] == []


def is_said(piece: str) -> bool:
    return any(piece in text for text in texts_of_the_program())


@cache
def texts_of_the_program() -> frozenset[str]:
    """Every text in the code of the four packages, docstrings aside."""
    return frozenset(
        node.value
        for package in ("dicom_node", "pipeline", "storage", "config")
        for path in (ROOT / package).rglob("*.py")
        for statement in ast.walk(ast.parse(path.read_text()))
        if not isinstance(statement, ast.Expr)
        for node in ast.iter_child_nodes(statement)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def has_test(place: Path, name: str) -> bool:
    return place.exists() and re.search(rf"^ *def {name}\b", place.read_text(), re.M) is not None
