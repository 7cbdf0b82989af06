"""Prometheus with the rules of `deploy/monitoring`, in which every time is so many times shorter.

A day takes twelve minutes: times in the rules, and seconds that metrics are compared with, are
divided by `FACTOR`. What a certificate has left stays as it is: nobody shortens that.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import yaml

from tests.support.node_process import free_port, wait_until
from tests.support.paths import ROOT

FACTOR = 120  #: a day in twelve minutes
EVERY = "1s"  #: between two looks at the nodes, and at the rules
SECONDS = {"m": 60, "h": 3600}
PROGRAM = "prometheus"
WAYS_TO_SHORTEN = (
    re.compile(r"(?<=\[)\d+[mh](?=\])"),  # increase(...[1h])
    re.compile(r"(?<=offset )\d+[mh]\b"),
    re.compile(r"^\d+[mh]$"),  # for: 5m
)
COMPARED = re.compile(r"(_seconds(?:\{[^}]*\})?) > (\d+)")
SLOWER = {
    "DicomNodeAnalysesLost": 30,  # a worker needs its time to come up again
    "DicomNodeSettingsRefused": 60,  # a quarter of an hour must hold several looks
    "DicomNodeLogLost": 60,
}
SELF_TEST = "2 * dicom_node_self_test_interval_seconds"


def rules() -> list[dict[str, Any]]:
    """Rules as they are delivered."""
    document = yaml.safe_load((ROOT / "deploy" / "monitoring" / "alerts.yml").read_text())
    found: list[dict[str, Any]] = document["groups"][0]["rules"]
    return found


def shortened(rule: dict[str, Any]) -> dict[str, Any]:
    """Give a rule with shorter times."""
    factor = SLOWER.get(rule["alert"], FACTOR)
    expression = COMPARED.sub(
        lambda found: f"{found[1]} > {int(found[2]) / factor}", _shorter(rule["expr"], factor)
    )
    expression = expression.replace(SELF_TEST, f"{SELF_TEST} / {factor}")
    wait = {"for": _shorter(rule["for"], factor)} if "for" in rule else {}
    return rule | wait | {"expr": expression}


def _shorter(text: str, factor: int) -> str:
    for way in WAYS_TO_SHORTEN:
        text = way.sub(
            lambda found: f"{int(found[0][:-1]) * SECONDS[found[0][-1]] * 1000 // factor}ms", text
        )
    return text


class Prometheus:
    """A server on loopback that scrapes nodes, by name, and follows the shortened rules."""

    def __init__(self, folder: Path, nodes: dict[str, int]) -> None:
        folder.mkdir()
        self._folder, self._port = folder, free_port()
        group = {"name": "day", "interval": EVERY, "rules": [shortened(rule) for rule in rules()]}
        (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [group]}))
        targets = [
            {"targets": [f"127.0.0.1:{port}"], "labels": {"instance": name}}
            for name, port in nodes.items()
        ]
        scrape = {"job_name": "dicom-node", "scrape_interval": EVERY, "scrape_timeout": EVERY}
        settings = {
            "global": {"evaluation_interval": EVERY},
            "rule_files": ["rules.yml"],
            "scrape_configs": [scrape | {"static_configs": targets}],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))

    def __enter__(self) -> Prometheus:
        program = shutil.which(PROGRAM)
        assert program is not None
        with (self._folder / "log").open("w") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    f"--config.file={self._folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                ],
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers, seconds=60, what="Prometheus")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(30)

    def fires(self, alert: str, instance: str) -> bool:
        """Say whether an alert of a node fires now."""
        return bool(self._query(_firing(alert, instance)))

    def has_fired(self, alert: str, instance: str, *, within_seconds: float) -> bool:
        """Say whether an alert of a node has fired within so many seconds."""
        during = f"[{int(within_seconds) + 1}s]"
        return bool(self._query(f"max_over_time({_firing(alert, instance)}{during})"))

    def _query(self, text: str) -> list[Any]:
        answer = httpx.get(
            f"http://127.0.0.1:{self._port}/api/v1/query", params={"query": text}, timeout=20
        )
        answer.raise_for_status()
        found: list[Any] = answer.json()["data"]["result"]
        return found

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self._folder / "log").read_text()
        try:
            return httpx.get(f"http://127.0.0.1:{self._port}/-/ready", timeout=5).is_success
        except httpx.HTTPError:
            return False


def _firing(alert: str, instance: str) -> str:
    return f'ALERTS{{alertname="{alert}",alertstate="firing",instance="{instance}"}}'
