"""Every `dicom-node` command in a code block of the documentation is one that there is."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup

from dicom_node.cli.app import app
from tests.support.paths import ROOT

FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.M | re.S)
INDENTED = re.compile(r"(?<=\n\n)(?: {4,}[^\n]*(?:\n+|\Z))+")
DOCUMENTS = [ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "CONTRIBUTING.md"]
DOCUMENTS += sorted((ROOT / "docs").rglob("*.md"))
PROGRAM = "dicom-node "


def blocks(text: str) -> Iterator[str]:
    """Code blocks of a document: between fences, and indented ones."""
    yield from (found[3] for found in FENCE.finditer(text))
    yield from INDENTED.findall(FENCE.sub("", text))


def commands(document: Path) -> Iterator[list[str]]:
    """Words of every command, comments, redirections and what is behind a pipe left out."""
    for block in blocks(document.read_text().replace("\\\n", " ")):
        for line in block.splitlines():
            name, _, rest = line.strip().removeprefix("until ").partition(PROGRAM)
            if not name and rest:
                words = shlex.shlex(rest, posix=True, punctuation_chars="<>|&;")
                words.whitespace_split = True
                yield list(until_shell(words))


def until_shell(words: Iterator[str]) -> Iterator[str]:
    before = ""
    for word in words:
        if word[0] in "<>|&;":
            if before and not (before == "2" and word[0] == ">"):
                yield before
            return
        if before:
            yield before
        before = word
    if before:
        yield before


def test_what_belongs_to_the_shell_is_left_out() -> None:
    for line in ("run --seed 2", "run --seed 2 | less", "run --seed 2 2>/dev/null"):
        words = shlex.shlex(line, posix=True, punctuation_chars="<>|&;")
        words.whitespace_split = True
        assert list(until_shell(words)) == ["run", "--seed", "2"]


def test_commands_are_found_in_the_documents() -> None:
    found = [words for document in DOCUMENTS for words in commands(document)]

    assert ["settings", "set", "analysis.threshold", "0.3"] in found
    assert ["run"] in found
    assert len(found) > 25


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_they_can_be_called_so(document: Path) -> None:
    for words in commands(document):
        read(words)


def read(words: list[str]) -> None:
    """Read a command's options and arguments as it would; files need not be there."""
    command, name = typer.main.get_command(app), "dicom-node"
    while isinstance(command, TyperGroup):
        if command.invoke_without_command and (not words or words[0].startswith("-")):
            break  # it does something by itself
        assert words, f"{name}: a command expected, got none"
        assert words[0] in command.commands, f"{name}: no command {words[0]}"
        name, *words = words
        command = command.commands[name]
    context = command.context_class(command, info_name=name)
    _, rest, _ = command.make_parser(context).parse_args(list(words))
    most = sum(1 for one in command.params if one.param_type_name == "argument")

    assert len(rest) <= most or any(one.nargs == -1 for one in command.params), (name, rest)
    try:
        command.make_context(name, list(words))
    except typer.BadParameter as fault:
        assert "does not exist" in fault.message, (name, words)  # noqa: PT017  # others are faults


@pytest.mark.parametrize(
    "line", ["nothing", "send", "echo", "run --nothing", "phantom ct --seed x"]
)
def test_what_cannot_be_called_is_told(line: str) -> None:
    with pytest.raises((AssertionError, *typer.BadParameter.__bases__)):
        read(line.split())
