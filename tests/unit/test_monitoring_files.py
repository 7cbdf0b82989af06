"""Alert rules and dashboard name metrics that there are, and each rule is tested."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from typer.main import get_command

from dicom_node.cli.app import app
from dicom_node.monitoring.catalogue import rows
from tests.support.paths import ROOT

FOLDER = ROOT / "deploy" / "monitoring"
LEAST_RULES = 12
SUFFIXES = ("_bucket", "_sum", "_count")
METRICS = {name.strip("`") for name, *_ in rows()}
RULES = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
CASES = [
    case
    for test in yaml.safe_load((FOLDER / "alerts-test.yml").read_text())["tests"]
    for case in test["alert_rule_test"]
]


def named_in(text: str) -> set[str]:
    """Metrics of the node that a text names, histograms by their own name."""
    found = set(re.findall(r"dicom_node_[a-z_]+", text))
    return {
        name
        if name in METRICS
        else next((name.removesuffix(s) for s in SUFFIXES if name.endswith(s)), name)
        for name in found
    }


def test_there_are_enough_rules_and_each_says_what_to_do() -> None:
    assert len(RULES) >= LEAST_RULES
    assert all(rule["annotations"].keys() == {"summary", "description"} for rule in RULES)
    assert {rule["labels"]["severity"] for rule in RULES} == {"warning", "critical"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_is_seen_to_fire_and_not_to(rule: dict[str, str]) -> None:
    cases = [bool(case["exp_alerts"]) for case in CASES if case["alertname"] == rule["alert"]]
    assert sorted(cases) == [False, True]


@pytest.mark.parametrize("name", ["alerts.yml", "alerts-test.yml", "dashboard.json"])
def test_they_name_metrics_that_there_are(name: str) -> None:
    assert named_in((FOLDER / name).read_text()) - METRICS == set()


def test_commands_that_a_rule_advises_exist() -> None:
    texts = " ".join(rule["annotations"]["description"] for rule in RULES)
    commands = get_command(app).commands  # type: ignore[attr-defined]  # of a group

    assert set(re.findall(r"dicom-node ([a-z]+)", texts)) <= set(commands)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_the_guide_says_what_to_do_when_a_rule_fires(rule: dict[str, Any]) -> None:
    guide = (ROOT / "docs" / "administrator" / "monitoring.md").read_text()
    advice = re.sub(r"\{\{ \$labels\.\w+ \}\}", "NAME", rule["annotations"]["description"])

    assert f"| `{rule['alert']}` | {rule['labels']['severity']} | {advice} |" in guide


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {
            (at["x"] + column, at["y"] + row) for column in range(at["w"]) for row in range(at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_grafana_knows_all_that_the_dashboard_says() -> None:
    """What Grafana's schemas have no place for is lost on the way through its own classes."""
    plugins.register_default_plugins()
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())

    known = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))

    assert list(left_out(dashboard, known)) == []


def left_out(wanted: Any, known: Any, at: str = "") -> Iterator[str]:  # noqa: ANN401  # any JSON
    """Places of what is not in the other, or is something else there."""
    if isinstance(wanted, dict) and isinstance(known, dict):
        for name, value in wanted.items():
            yield from left_out(value, known.get(name), f"{at}/{name}")
    elif isinstance(wanted, list) and isinstance(known, list) and len(wanted) == len(known):
        for number, (one, other) in enumerate(zip(wanted, known, strict=True)):
            yield from left_out(one, other, f"{at}/{number}")
    elif wanted != known:
        yield at


@pytest.mark.parametrize(
    "command",
    [
        ("check", "rules", "alerts.yml"),
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "alerts-test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_is_content(command: tuple[str, ...]) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("not installed: promtool (Debian's prometheus)")
    looked = subprocess.run(
        ["promtool", *command], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert looked.returncode == 0, looked.stdout + looked.stderr
