"""Try whether the tests can fail: ``python -m tests.mutants --each 2 --seed 14`` (`make mutants`).

Slips are drawn from the modules that keep promises (modules.toml), and the tests that are to see
them run on a copy of the checkout. What was tried stays tried (build/mutants.jsonl) until its
module changes, so that a run may be stopped and taken up again.

cosmic-ray makes the slips and runs the tests; drawing by a seed, and tests for each module, it
has not.
"""

from __future__ import annotations

import argparse
import difflib
import json
import random
import re
import shutil
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from time import monotonic
from typing import Any

from cosmic_ray.testing import run_tests
from cosmic_ray.work_item import TestOutcome

from tests.mutants.sample import Mutant, draw
from tests.reliability.tally import page
from tests.support.paths import ROOT

TABLE = Path(__file__).with_name("modules.toml")
TRIED = ROOT / "build" / "mutants.jsonl"
COPIED = (
    *("config", "dicom_node", "pipeline", "storage", "tests", "benchmarks", "docs", "deploy"),
    *("README.md", "setup.cfg", "pyproject.toml"),
)
LEFT_OUT = "not slow and not real and not acceptance and not viewer and not postgresql"
NAMING = ("unit", "property", "dicom", "faults")  #: folders of tests that may name a module
MOST_NAMING = 8  #: files of tests
LEAST_SECONDS = 60.0  #: patience with the tests of a mutant, or
PATIENCE = 3.0  #: so many times what they take without a mutant


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Modules that keep promises, and the tests that are to see their slips."""

    name: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]

    def command(self, tests: Iterable[str] = ()) -> str:
        """Run some of the tests, or all, until the first fails."""
        options = f"-x -q -p no:cacheprovider -m '{LEFT_OUT}'"
        return f"{sys.executable} -m pytest {options} {' '.join(tests or self.tests)}"

    def naming(self, module: str) -> list[str]:
        """Tests that name a module: likely to see a slip in it, and run first.

        Where more do than are quick, those of the group.
        """
        name = re.compile(rf"\b{re.escape(module.removesuffix('.py').replace('/', '.'))}\b")
        files = [path for folder in NAMING for path in (ROOT / "tests" / folder).rglob("test_*.py")]
        found = [path for path in sorted(files) if name.search(path.read_text())]
        tests = [str(path.relative_to(ROOT)) for path in found]
        if len(tests) > MOST_NAMING:
            tests = [test for test in tests if test.startswith(self.tests)]
        return tests

    def draw(self, each: int, most: int | None, seed: int) -> list[Mutant]:
        """Draw so many mutants of each module, and of these at most so many in all."""
        drawn = [mutant for module in self.modules for mutant in draw(ROOT, module, each, seed)]
        if most is None or most >= len(drawn):
            return drawn
        chosen = random.Random(f"{seed} {self.name}").sample(range(len(drawn)), most)
        return [drawn[index] for index in sorted(chosen)]


def read_groups() -> list[Group]:
    """Read modules.toml; patterns become paths."""
    return [
        Group(
            name=entry["name"],
            modules=tuple(sorted(set(_matching(entry["modules"])))),
            tests=tuple(entry["tests"]),
        )
        for entry in tomllib.loads(TABLE.read_text())["group"]
    ]


def _matching(patterns: Iterable[str]) -> Iterator[str]:
    for pattern in patterns:
        for path in ROOT.glob(pattern):
            if path.name != "__init__.py":
                yield path.relative_to(ROOT).as_posix()


@contextmanager
def copied() -> Iterator[Path]:
    """Copy the checkout, so that nobody works on a mutant by mistake."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        for item in COPIED:
            source, target = ROOT / item, Path(name) / item
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        yield Path(name)


def run(command: str, root: Path, timeout: float) -> tuple[TestOutcome, str]:
    """Run tests in a copy of the checkout; those that do not end in time have failed."""
    outcome, output = run_tests(f"env --chdir={root} PYTHONPATH={root} {command}", timeout)
    return outcome, str(output)


def try_mutant(mutant: Mutant, group: Group, root: Path, timeout: float) -> dict[str, Any]:
    """Run the tests with a mutant in place: those that name its module, then all."""
    first = group.naming(mutant.module)
    quick = [group.command(first)] if first else []
    if quick and run(quick[0], root, 1800)[0] is not TestOutcome.SURVIVED:
        print(f"left out, for they fail without a mutant: {quick[0]}", flush=True)  # noqa: T201  # a script
        quick = []
    commands = [*quick, group.command()]
    module = root / mutant.module
    source = module.read_text()
    changed = mutant.code(source)
    module.write_text(changed)
    try:
        outcomes = (run(command, root, timeout)[0] for command in commands)
        outcome = next((o for o in outcomes if o is not TestOutcome.SURVIVED), TestOutcome.SURVIVED)
    finally:
        module.write_text(source)
    return {**asdict(mutant), "slip": slip(source, changed), "outcome": str(outcome.value)}


def slip(source: str, changed: str) -> str:
    """Lines that differ, before and after."""
    lines = difflib.unified_diff(source.splitlines(), changed.splitlines(), n=0, lineterm="")
    return "\n".join(line for line in list(lines)[2:] if not line.startswith("@@"))


def read_tried() -> dict[Mutant, dict[str, Any]]:
    """Read what earlier runs tried."""
    if not TRIED.exists():
        return {}
    rows = [json.loads(line) for line in TRIED.read_text().splitlines()]
    keys = Mutant.__dataclass_fields__
    tried: dict[Mutant, dict[str, Any]] = {}
    for row in rows:
        mutant = Mutant(**{key: row[key] for key in keys})
        tried[mutant] = {**row, "first": tried.get(mutant, row).get("first", row["outcome"])}
    return tried


def try_group(group: Group, root: Path, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Try the mutants of a group that were not tried before; give the rows of all."""
    drawn = group.draw(arguments.each, arguments.most, arguments.seed)
    tried = read_tried()
    timeout = 0.0
    for mutant in drawn:
        row = tried.get(mutant)
        survived = row is not None and row["outcome"] == TestOutcome.SURVIVED.value
        if row is not None and not (arguments.again and survived and not is_equivalent(row)):
            continue
        timeout = timeout or _patience(group, root)
        tried[mutant] = row = try_mutant(mutant, group, root, timeout)
        with TRIED.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{row['outcome']:9} {mutant.module}:{mutant.line} {mutant.operator}", flush=True)  # noqa: T201  # a script
    tried = read_tried()
    return [tried[mutant] for mutant in drawn]


def _patience(group: Group, root: Path) -> float:
    """Run the tests without a mutant; say how long to wait with one.

    Raises
    ------
    SystemExit
        If they fail.
    """
    began = monotonic()
    outcome, output = run(group.command(), root, 1800)
    if outcome is not TestOutcome.SURVIVED:
        raise SystemExit(f"the tests of {group.name} fail without a mutant: {output[-2000:]}")
    return max(LEAST_SECONDS, PATIENCE * (monotonic() - began))


def is_equivalent(row: dict[str, Any]) -> bool:
    """Say whether a person found that the slip changes nothing anybody can see."""
    known = tomllib.loads(TABLE.read_text()).get("equivalent", [])
    return any(
        fnmatch(row["module"], entry["module"]) and entry["slip"].strip() == row["slip"].strip()
        for entry in known
    )


def summarise(group: Group, rows: list[dict[str, Any]], seed: int) -> tuple[str, str, str]:
    """Line of the table: promise, what was tried, what came of it."""
    survived = [row for row in rows if row["outcome"] == TestOutcome.SURVIVED.value]
    equivalent = sum(map(is_equivalent, survived))
    killed, counted = len(rows) - len(survived), len(rows) - equivalent
    at_first = sum(row.get("first") == TestOutcome.KILLED.value for row in rows)
    where = Counter(row["module"] for row in survived if not is_equivalent(row))
    names = ", ".join(f"{name} {count}" for name, count in sorted(where.items()))
    return (
        f"careless slips in {group.name} are seen by its tests",
        f"{len(rows)} drawn from {len(group.modules)} modules, seed {seed}",
        f"{killed} of {counted} seen ({killed / max(1, counted):.0%}; {at_first} before tests were"
        f" written for the others), {equivalent} change nothing"
        + (f"; not seen: {names}" if names else ""),
    )


def main() -> None:
    """Try the groups that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--each", type=int, default=2, help="mutants of a module")
    parser.add_argument("--most", type=int, help="mutants of a group, drawn among those")
    parser.add_argument("--seed", type=int, default=14)
    parser.add_argument("--again", action="store_true", help="try once more what no test saw")
    parser.add_argument("--table", type=Path, help="page whose table takes the outcome")
    parser.add_argument("groups", nargs="*", help="names of groups in modules.toml")
    arguments = parser.parse_args()
    TRIED.parent.mkdir(exist_ok=True)
    with copied() as root:
        for group in read_groups():
            if arguments.groups and group.name not in arguments.groups:
                continue
            rows = try_group(group, root, arguments)
            line = summarise(group, rows, arguments.seed)
            print("\n".join(line), flush=True)  # noqa: T201  # a script
            if arguments.table is not None:
                with page(arguments.table) as tally:
                    tally.note(*line)


if __name__ == "__main__":
    main()
