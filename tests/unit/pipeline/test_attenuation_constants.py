"""A constant in Hounsfield units is found by its name: no two modules define the same one."""

import ast
from collections import defaultdict

from tests.support.paths import ROOT


def test_no_two_modules_define_one_name_of_attenuation() -> None:
    places = defaultdict(set)
    for path in (ROOT / "pipeline").rglob("*.py"):
        for statement in ast.parse(path.read_text()).body:
            targets = statement.targets if isinstance(statement, ast.Assign) else []
            names = {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
            for name in names:
                if name == "HU" or name.endswith("_HU"):
                    places[name].add(path.relative_to(ROOT).as_posix())
    assert len(places) > 40
    assert {name: files for name, files in places.items() if len(files) > 1} == {}
