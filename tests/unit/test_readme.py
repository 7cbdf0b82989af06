"""The README cannot go stale: its settings, its commands and its links are checked."""

import re

import typer.main

from config.example import settings_table
from dicom_node.cli.app import app
from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text()


def test_the_table_of_settings_is_the_one_of_the_code() -> None:
    between = re.search(r"<!-- settings:.*?-->\n(.*?)<!-- /settings -->", README, re.DOTALL)

    assert between is not None
    assert between[1].strip() == settings_table().strip()


def test_every_command_is_explained() -> None:
    commands = typer.main.get_group(app).commands

    assert [name for name in commands if f"dicom-node {name}" not in README] == []
    assert [name for name, command in commands.items() if not command.help] == []


def test_links_into_the_repository_lead_somewhere() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)

    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_make_knows_the_targets_that_are_named() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"`?make (\w+)", README))

    assert {name for name in named if not re.search(rf"^{name}:", makefile, re.M)} <= {"make"}
