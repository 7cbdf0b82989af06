"""Images, compose file and manifests are strict, and name what the program knows."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from configparser import ConfigParser
from dataclasses import fields
from pathlib import Path
from typing import Any  # what YAML holds
from urllib.parse import urlsplit

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from config.reader import load
from config.settings import NodeSettings, Settings
from dicom_node.assembly.engine import engine_address_of
from dicom_node.cli.app import app
from dicom_node.network.tls import Credentials, certified_name, server_context
from dicom_node.node.deadlines import STOP_SECONDS
from tests.support.paths import ROOT

DEPLOY = ROOT / "deploy"
IMAGE = (DEPLOY / "container" / "Containerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
OURS = {name: COMPOSE["services"][name] for name in ("node", "console")}
MANIFESTS = [
    document
    for path in sorted((DEPLOY / "kubernetes" / "base").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
]
PODS = {
    document["metadata"]["name"]: document["spec"]["template"]["spec"]
    for document in MANIFESTS
    if document["kind"] in {"Deployment", "StatefulSet"}
}
INIS = sorted(path for path in DEPLOY.rglob("*.ini") if path.parent != DEPLOY)
of_ours = pytest.mark.parametrize("service", OURS.values(), ids=list(OURS))
of_pods = pytest.mark.parametrize("pod", PODS.values(), ids=list(PODS))


def calls() -> Iterator[list[str]]:
    """Arguments that the image is given anywhere."""
    yield from (service["command"] for service in OURS.values())
    for pod in PODS.values():
        (container,) = pod["containers"]
        yield from [container["args"]] if "args" in container else []
        for probe in ("readinessProbe",):
            if "exec" in container.get(probe, {}):
                program, *arguments = container[probe]["exec"]["command"]
                assert program == "dicom-node"
                yield arguments
    check = re.search(r"HEALTHCHECK .* CMD (\[.*\])", IMAGE)
    assert check is not None
    yield yaml.safe_load(check[1])[1:]
    yield yaml.safe_load(re.findall(r"^CMD (.*)$", IMAGE, re.M)[0])


def test_every_call_is_a_command() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]  # of a group
    for command, *arguments in calls():
        known = {option for one in commands[command].params for option in one.opts}
        assert {word for word in arguments if word.startswith("-")} <= known


@pytest.mark.parametrize("ini", INIS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_settings_can_be_read(ini: Path) -> None:
    assert load(ini) != Settings()


def test_variables_of_the_environment_are_known() -> None:
    texts = [path.read_text() for path in DEPLOY.rglob("*") if path.is_file()]
    named = {name for text in texts for name in re.findall(r"\bDICOM_NODE_[A-Z_]+", text)}
    code = "".join(path.read_text() for path in (ROOT / "dicom_node").rglob("*.py"))

    assert "DICOM_NODE_CONFIG" in named
    of_compose = set(re.findall(r"\$\{(\w+):-", (DEPLOY / "compose" / "compose.yaml").read_text()))
    assert {name for name in named - of_compose if f'"{name}"' not in code} == set()


@of_ours
def test_a_service_may_little(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


@of_pods
def test_a_pod_may_little(pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in pod["volumes"]
    }


@of_pods
def test_a_pod_says_what_it_needs_and_when_it_is_ready(pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    is_called = bool(container.get("ports"))  # a worker calls, and nobody calls it

    assert set(container["resources"]["requests"]) == {"cpu", "memory"}
    assert "memory" in container["resources"]["limits"]
    assert ("readinessProbe" in container) is is_called
    assert "livenessProbe" not in container, "the node starts again what ends inside it"


def test_a_worker_writes_nothing_into_the_storage_folder() -> None:
    (container,) = PODS["dicom-node-worker"]["containers"]
    folder = load(DEPLOY / "kubernetes" / "base" / "dicom-node.ini").storage.folder
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}

    assert mounts[str(folder)]["readOnly"] is True


def test_files_that_settings_name_are_mounted() -> None:
    settings = load(DEPLOY / "kubernetes" / "base" / "dicom-node.ini")
    for name in ("dicom-node", "dicom-node-console"):
        (container,) = PODS[name]["containers"]
        mounted = [mount["mountPath"] for mount in container["volumeMounts"]]
        for file in settings.secrets.values():
            assert str(file.parent) in mounted

    secrets = load(DEPLOY / "compose" / "dicom-node.ini").secrets.values()
    made = (DEPLOY / "compose" / "up").read_text()
    assert [file.name for file in secrets if f"$secrets/{file.name}" not in made] == []


def test_a_stop_is_waited_for() -> None:
    waits = [float(service["stop_grace_period"].removesuffix("s")) for service in OURS.values()]
    waits += [float(pod["terminationGracePeriodSeconds"]) for pod in PODS.values()]

    assert min(waits) > STOP_SECONDS


def test_the_image_is_made_of_what_is_there_and_runs_as_nobody_in_particular() -> None:
    extras = re.findall(r"^ARG EXTRAS=(.*)$", IMAGE, re.M)[0].split(",")
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    copied = [
        place
        for line in re.findall(r"^COPY (?!--)(.*)$", IMAGE, re.M)
        for place in shlex.split(line)[:-1]
    ]

    of_roles_and_of_ours = {"receiver", "worker", "console", "all", "training", "docs", "test"}
    assert set(extras) == set(setup["options.extras_require"]) - of_roles_and_of_ours
    assert [place for place in copied if not (ROOT / place).exists()] == []
    assert {"config", "dicom_node", "pipeline", "storage"} <= set(copied)
    user = re.findall(r"^USER (\d+):(\d+)$", IMAGE, re.M)
    assert user == [("10001", "10001")]
    assert IMAGE.rindex("\nUSER ") > IMAGE.rindex("\nRUN ")
    ignored = (ROOT / ".dockerignore").read_text()
    assert [place for place in copied if f"!{place.removeprefix('./')}\n" not in ignored] == []


def test_the_registry_is_set_in_one_place() -> None:
    manifests = [*(DEPLOY / "kubernetes").rglob("*.yaml")]
    naming = [file for file in manifests if "registry.example.org" in file.read_text()]
    assert naming == [DEPLOY / "kubernetes" / "image" / "kustomization.yaml"]


@pytest.mark.parametrize(
    ("overlay", "on_gpu"), [("base", set()), ("fleet", set()), ("gpu", {"dicom-node-worker"})]
)
def test_every_container_gets_the_image_of_the_registry(overlay: str, on_gpu: set[str]) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("not installed: kubectl")
    command = ["kubectl", "kustomize", str(DEPLOY / "kubernetes" / overlay)]
    built = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    images = {
        (one["metadata"]["name"], container["image"])
        for one in yaml.safe_load_all(built)
        if one["kind"] in {"Deployment", "StatefulSet"}
        for pod in [one["spec"]["template"]["spec"]]
        for container in [*pod["containers"], *pod.get("initContainers", ())]
    }
    version = "registry.example.org/dicom-node:0.1.0"
    assert images == {(name, f"{version}-gpu" if name in on_gpu else version) for name in PODS}


def test_the_secret_of_the_engine_is_made_of_what_the_command_makes(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "administrator" / "deployment.md").read_text()
    (made,) = re.findall(r"^ *dicom-node (certificates .*)$", page, re.M)
    (secret,) = re.findall(r"^ *kubectl .* secret generic dicom-node-engine (.*)$", page, re.M)
    command, folder, *words = shlex.split(made)
    ended = CliRunner().invoke(app, [command, str(tmp_path / folder), *words])
    assert ended.exit_code == 0, ended.output
    files = dict(pair.removeprefix("--from-file=").split("=") for pair in shlex.split(secret))

    for name in ("dicom-node.ini", "worker.ini"):
        address = engine_address_of(load(DEPLOY / "kubernetes" / "base" / name))
        assert address.credentials is not None
        credentials = Credentials(
            **{
                field.name: tmp_path / files[getattr(address.credentials, field.name).name]
                for field in fields(Credentials)
            }
        )
        server_context(credentials, verify_peers=True)
        assert certified_name(credentials.certificate) == urlsplit(address.scheduler).hostname
    (container,) = PODS["dicom-node-scheduler"]["containers"]
    named = {word.rpartition("/")[2] for word in container["command"] if "/engine/" in word}
    assert named == set(files)


def test_orthanc_of_the_small_hospital_is_set_up_as_the_guide_says() -> None:
    guide = (ROOT / "docs" / "administrator" / "connecting.md").read_text()
    script = (DEPLOY / "compose" / "ainode.lua").read_text()
    orthanc = yaml.safe_load((DEPLOY / "compose" / "orthanc.json").read_text())
    (destination,) = load(DEPLOY / "compose" / "dicom-node.ini").destinations
    ours = NodeSettings()

    assert re.sub("^", "   ", script.strip(), flags=re.M) in guide
    assert orthanc["DicomModalities"]["ainode"] == [ours.ae_title, "node", ours.port]
    assert destination.model_dump()["port"] == orthanc["DicomPort"]
    assert destination.model_dump()["ae_title"] == orthanc["DicomAet"]


def test_prometheus_of_the_small_hospital_asks_the_node_where_it_answers() -> None:
    (job,) = yaml.safe_load((DEPLOY / "compose" / "prometheus.yml").read_text())["scrape_configs"]
    monitoring = load(DEPLOY / "compose" / "dicom-node.ini").monitoring

    assert job["static_configs"] == [{"targets": [f"node:{monitoring.port}"]}]
    assert (job["scheme"] == "https") is (monitoring.certificate is not None)
    assert "DNS:node" in (DEPLOY / "compose" / "up").read_text()


def test_what_is_mounted_is_there_or_made() -> None:
    made = "./hospital/"
    sources = [
        mount.split(":")[0]
        for service in COMPOSE["services"].values()
        for mount in service.get("volumes", [])
        if mount.startswith(".") and not mount.startswith(made)
    ]

    assert len(sources) > 5
    assert [place for place in sources if not (DEPLOY / "compose" / place).is_file()] == []


def test_the_settings_beside_the_proxy_can_be_read(tmp_path: Path) -> None:
    text = (DEPLOY / "proxy" / "nginx.conf").read_text()
    ini = tmp_path / "dicom-node.ini"
    ini.write_text("\n".join(re.findall(r"^#   (\S.*)$", text, re.M)))
    console = load(ini).console

    assert f"server 127.0.0.1:{console.port};" in text
    assert f"server_name {console.hosts[0]};" in text
    assert console.trusted_proxies == ("127.0.0.1",)
