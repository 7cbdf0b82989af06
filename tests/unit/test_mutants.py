"""Drawing of mutants: the same again for the same seed, and only slips that could be noticed."""

from pathlib import Path

import pytest

from tests.mutants.__main__ import is_equivalent, read_groups, slip, summarise
from tests.mutants.sample import draw
from tests.support.paths import ROOT

SOURCE = '''\
"""Module."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    seconds: int | None = 3


def keep(file: int | None, *, limit: int = 2) -> int | None:
    if limit > 1 and file:
        os.fsync(file)
        wait(file, limit=limit)
    return file
'''


@pytest.fixture
def module(tmp_path: Path) -> Path:
    (tmp_path / "module.py").write_text(SOURCE)
    return tmp_path


def test_the_same_are_drawn_for_the_same_seed(module: Path) -> None:
    some = draw(module, "module.py", 3, seed=1)
    assert some == draw(module, "module.py", 3, seed=1)
    assert some != draw(module, "module.py", 3, seed=2)
    assert len(some) == 3


def test_each_is_another_program_and_no_annotation_is_touched(module: Path) -> None:
    drawn = draw(module, "module.py", 99, seed=1)
    slips = {slip(SOURCE, mutant.code(SOURCE)) for mutant in drawn}

    assert len(slips) == len(drawn)
    assert "-        os.fsync(file)\n+        pass" in slips
    assert not any("frozen" in line for line in slips)
    for mutant in drawn:
        compile(mutant.code(SOURCE), "module.py", "exec")
    signature = "def keep(file: int | None, *, limit: int = "
    assert all(signature in mutant.code(SOURCE) for mutant in drawn)
    assert all(") -> int | None:" in mutant.code(SOURCE) for mutant in drawn)


def test_modules_and_tests_of_every_group_are_there() -> None:
    for group in read_groups():
        assert group.modules, group.name
        assert all((ROOT / path).exists() for path in group.tests), group.name


def test_no_more_of_a_group_are_drawn_than_asked_for() -> None:
    group = read_groups()[0]
    all_of_them = group.draw(each=2, most=None, seed=1)
    some = group.draw(each=2, most=3, seed=1)

    assert len(some) == 3
    assert set(some) < set(all_of_them)
    assert some == group.draw(each=2, most=3, seed=1)
    assert group.draw(each=2, most=99, seed=1) == all_of_them


def test_tests_that_name_a_module_run_first() -> None:
    group = next(group for group in read_groups() if group.name == "storage/files")

    first = group.naming("storage/files/installation.py")

    assert "tests/unit/storage/files/test_installation.py" in first
    assert "tests/unit/storage/files/test_identity_key.py" not in first
    assert group.command(first).endswith(" ".join(first))


def test_what_changes_nothing_does_not_count() -> None:
    known = {
        "module": "storage/files/installation.py",
        "slip": '-    with temporary.open("x", encoding="ascii") as file:\n'
        '+    with temporary.open("x", **{}) as file:',
        "outcome": "survived",
    }
    seen, missed = {**known, "outcome": "killed", "first": "survived"}, {**known, "slip": "-a\n+b"}
    assert is_equivalent(known)
    assert not is_equivalent(missed)

    _, tried, outcome = summarise(read_groups()[0], [known, seen, missed], 14)

    assert tried.startswith("3 drawn")
    assert outcome.startswith("1 of 2 seen (50%; 0 before tests were written")
    assert "1 change nothing; not seen: storage/files/installation.py 1" in outcome
