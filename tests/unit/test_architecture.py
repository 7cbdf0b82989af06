"""The floors of the house: who may import whom."""

import ast
import re
import subprocess
import sys
from collections import Counter
from configparser import ConfigParser
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.support.paths import ROOT

OURS = {"dicom_node", "pipeline", "storage", "config"}

MAY_IMPORT = {
    "config": {"configupdater", "pydantic", "pydantic_core"},
    "storage": {"sqlalchemy", "alembic", "obstore"},
    "pipeline": {
        "PIL",
        "SimpleITK",
        "highdicom",
        "imagecodecs",
        "jinja2",  # where PAGES says
        "matplotlib",  # where EXTRA says
        "numpy",
        "pydantic",
        "pydantic_core",
        "pydicom",
        "reportlab",
        "rich",  # in training only
        "safetensors",
        "scipy",
        "sklearn",  # where EXTRA says
        "torch",  # where TORCH says
    },
}

# Only where tensors are: the receiver starts without torch.
TORCH = re.compile(
    r"pipeline/(networks|training|lungs|classifier|lesions|model|cases)/.*"
    r"|dicom_node/analysis/worker/\w+\.py"  # runs in a worker; imports it inside a function
)
RICH = re.compile(r"pipeline/training/.*|dicom_node/cli/.*")
# The optional extra `training`: the node runs without it.
NOTIFY = re.compile(r"dicom_node/notify/apprise_sender\.py")
BUCKET = re.compile(r"storage/files/object_store\.py")
OPENID = re.compile(r"dicom_node/console/access/openid\.py")
EXTRA = re.compile(r"pipeline/(training|evaluation|metrics)/.*")
PAGES = re.compile(r"pipeline/evaluation/.*|dicom_node/console/.*")
SQLALCHEMY = re.compile(r"storage/.*")
PYNETDICOM = re.compile(
    r"dicom_node/(network|reception|delivery|worklist|demo)/.*|dicom_node/node/.*"
)
DOOR = "dicom_node/network/pynetdicom_internals/"  #: where pynetdicom's private parts are used
MOST_MODULES = 15  #: in a folder: a newcomer has only the list
PART_OF = {"pydantic_core": "pydantic", "dask": "distributed"}  # pinned to each other


@cache
def imports(path: Path) -> frozenset[str]:
    """Top-level names imported anywhere in a file, the standard library left out."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {path}"
            names.add(str(node.module).split(".")[0])
    return frozenset(names - sys.stdlib_module_names)


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def canonical(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


@cache
def declared() -> frozenset[str]:
    """Names that the distributions of setup.cfg let us import."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = setup["options"]["install_requires"].split("\n")
    for extra in ("training", "oidc", "notify", "s3"):
        lines += setup["options.extras_require"][extra].split("\n")
    lines = [line for line in lines if line.strip() and not line.startswith("#")]
    required = {canonical(line.split()[0]) for line in lines}
    return frozenset(required) | frozenset(  # an extra may not be installed here
        name
        for name, distributions in packages_distributions().items()
        if required & {canonical(distribution) for distribution in distributions}
    )


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_floor_rests_only_on_what_it_may(package: str) -> None:
    assert modules(package)
    for path in modules(package):
        assert imports(path) <= MAY_IMPORT[package] | {package}, path


def test_the_node_stands_on_our_floors_and_on_what_setup_cfg_asks_for() -> None:
    for path in modules("dicom_node"):
        assert {PART_OF.get(name, name) for name in imports(path)} <= declared() | OURS, path


def test_floors_import_nothing_that_setup_cfg_does_not_ask_for() -> None:
    names = {PART_OF.get(n, n) for allowed in MAY_IMPORT.values() for n in allowed}
    assert names <= declared()


@pytest.mark.parametrize(
    ("name", "places"),
    [("torch", TORCH), ("rich", RICH), ("sqlalchemy", SQLALCHEMY), ("pynetdicom", PYNETDICOM)]
    + [("jinja2", PAGES)]
    + [(name, EXTRA) for name in ("matplotlib", "sklearn")]
    + [("apprise", NOTIFY), ("obstore", BUCKET)]
    + [(name, OPENID) for name in ("authlib", "joserfc", "httpx2")],
)
def test_heavy_or_shown_things_are_imported_only_in_their_places(
    name: str, places: re.Pattern[str]
) -> None:
    importers = {
        path.relative_to(ROOT).as_posix()
        for package in OURS
        for path in modules(package)
        if name in imports(path)
    }
    assert {path for path in importers if not places.fullmatch(path)} == set()


@pytest.mark.parametrize("module", ["config", "storage.overview", "storage.delivery.outbox"])
def test_floors_start_without_torch_and_pydicom(module: str) -> None:
    code = f"import sys, {module}; print({{'torch', 'pydicom', 'numpy'}} & set(sys.modules))"
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "set()"


def test_only_advance_writes_the_state_of_a_series() -> None:
    """States change by compare-and-swap in one place, or two could change one at a time."""
    writers = {
        f"{path.name}:{function.name}"
        for path in modules("storage")
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef) and writes_series_state(function)
    }
    assert writers == {"lifecycle.py:advance"}


def writes_series_state(function: ast.FunctionDef) -> bool:
    """Whether a function assigns to ``….state``, or has an UPDATE of Series set its state."""
    nodes = list(ast.walk(function))
    calls = [ast.unparse(node) for node in nodes if isinstance(node, ast.Call)]
    return any(re.search(r"update\(Series\).*\bstate=", call, re.DOTALL) for call in calls) or any(
        isinstance(node, ast.Attribute) and node.attr == "state" and isinstance(node.ctx, ast.Store)
        for node in nodes
    )


@pytest.mark.parametrize("package", sorted(OURS))
def test_no_other_distribution_ships_our_names(package: str) -> None:
    assert set(packages_distributions()[package]) == {"dicom-node"}


def private_uses(path: Path) -> set[str]:
    """Private names that a module takes from a library: imported, or of another object."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("pynetdicom"):
            parts = [*str(node.module).split("."), *(alias.name for alias in node.names)]
            found |= {part for part in parts if part.startswith("_")}
        if isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr):
            owner = node.value
            if not (isinstance(owner, ast.Name) and owner.id in {"self", "cls"}):
                found.add(node.attr)
    return found


def test_private_parts_of_pynetdicom_are_used_behind_one_door() -> None:
    paths = {path.relative_to(ROOT).as_posix(): path for path in modules("dicom_node")}
    users = {name for name, path in paths.items() if "pynetdicom" in imports(path)}

    assert {name for name in users if private_uses(paths[name]) and DOOR not in name} == set()
    assert any(private_uses(paths[name]) for name in users if DOOR in name)


@pytest.mark.parametrize("top", [*sorted(OURS), "tests", "benchmarks"])
def test_no_folder_is_too_full_to_be_read_as_a_list(top: str) -> None:
    folders = Counter(
        path.parent.relative_to(ROOT).as_posix()
        for path in (ROOT / top).rglob("*.py")
        if path.name != "__init__.py"
    )
    assert {folder: count for folder, count in folders.items() if count > MOST_MODULES} == {}


RIDDLES = re.compile(r"(What|Which|Whether|Who|How|Where|Why)\b")


@pytest.mark.parametrize("top", [*sorted(OURS), "tests", "benchmarks"])
def test_modules_say_first_what_they_do(top: str) -> None:
    paths = (ROOT / top).rglob("*.py")
    first = {path: (ast.get_docstring(ast.parse(path.read_text())) or "") for path in paths}
    assert [path.name for path, text in first.items() if RIDDLES.match(text)] == []


@pytest.mark.parametrize("package", sorted(OURS))
def test_loop_variables_name_the_thing(package: str) -> None:
    loops = {
        path.name
        for path in modules(package)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Name) and node.id == "each"
    }
    assert loops == set()


THREAD = re.compile(r"threading\.(Thread|Timer)\(")
DAEMON = re.compile(r"daemon\s*=\s*True\b")


def test_no_thread_of_ours_keeps_a_process_from_ending() -> None:
    """Those of a pool may: whoever makes one ends it."""
    texts = {path.relative_to(ROOT).as_posix(): path.read_text() for path in modules("dicom_node")}
    made = {name: len(THREAD.findall(text)) for name, text in texts.items() if THREAD.search(text)}
    assert made
    assert made == {name: len(DAEMON.findall(texts[name])) for name in made}


def test_migrations_are_one_line_and_say_what_going_back_loses() -> None:
    files = sorted((ROOT / "storage/migrations/versions").rglob("r*.py"), key=lambda p: p.name)
    texts = [path.read_text() for path in files]
    steps = [
        (
            re.search(r'^down_revision = "?(\w+)', text, re.M),
            re.search(r'^revision = "(\d+)', text, re.M),
        )
        for text in texts
    ]
    numbers = [f"{number:04d}" for number in range(1, len(files) + 1)]

    assert [new[1] for _, new in steps if new] == numbers
    assert [old[1] for old, _ in steps if old] == ["None", *numbers[:-1]]
    assert [
        path.name for path, text in zip(files, texts, strict=True) if "LOST = " not in text
    ] == []
