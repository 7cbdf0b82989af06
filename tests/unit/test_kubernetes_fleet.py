"""The manifests of several receivers give each a name of its own, and rights as small as one's."""

from __future__ import annotations

import copy
import subprocess
from pathlib import Path
from typing import Any  # what YAML holds

import pytest
import yaml

from config.reader import load
from tests.support.paths import ROOT
from tests.unit.test_containers import MANIFESTS, PODS

FLEET = ROOT / "deploy" / "kubernetes" / "fleet"
BASE = ROOT / "deploy" / "kubernetes" / "base"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((FLEET / "kustomization.yaml").read_text())


def patched(manifest: dict[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    """Apply operations of RFC 6902 to a manifest, as kustomize does."""
    found = copy.deepcopy(manifest)
    for operation in operations:
        *parents, last = operation["path"].strip("/").split("/")
        place: Any = found
        for name in parents:
            place = place[int(name)] if isinstance(place, list) else place[name]
        if last == "-":
            place.append(operation["value"])
            continue
        key: Any = int(last) if isinstance(place, list) else last
        if operation["op"] == "test":
            assert place[key] == operation["value"]
        else:
            assert operation["op"] == "add" or key in place or isinstance(place, list)
            place[key] = operation["value"]
    return found


@pytest.fixture(scope="module")
def receivers() -> dict[str, Any]:
    (patch,) = KUSTOMIZATION["patches"]
    (node,) = (
        one
        for one in MANIFESTS
        if (one["kind"], one.get("metadata", {}).get("name")) == tuple(patch["target"].values())
    )
    return patched(node, yaml.safe_load(patch["patch"]))


def test_there_are_two_and_one_goes_on_while_the_other_is_away(receivers: dict[str, Any]) -> None:
    (budget,) = yaml.safe_load_all((FLEET / "receivers.yaml").read_text())
    labels = receivers["spec"]["template"]["metadata"]["labels"]

    assert receivers["spec"]["replicas"] == 2
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert {*KUSTOMIZATION["resources"]} == {"../base", "receivers.yaml"}


def test_each_takes_the_name_of_its_pod_for_its_own(
    receivers: dict[str, Any], tmp_path: Path
) -> None:
    (first,) = receivers["spec"]["template"]["spec"]["initContainers"]
    *shell, script = first["command"]
    (tmp_path / "own").mkdir()
    script = script.replace("/etc/dicom-node-common", str(BASE))
    script = script.replace("/etc/dicom-node/", f"{tmp_path}/own/")

    subprocess.run(
        [*shell, script], check=True, env={"POD_NAME": "dicom-node-1", "PATH": "/usr/bin:/bin"}
    )

    own, common = load(tmp_path / "own" / "dicom-node.ini"), load(BASE / "dicom-node.ini")
    assert own.node.receiver == "dicom-node-1"
    assert own.node.model_copy(update={"receiver": ""}) == common.node
    assert (own.storage, own.destinations) == (common.storage, common.destinations)


def test_a_receiver_may_as_little_as_a_node_of_its_own(receivers: dict[str, Any]) -> None:
    pod, alone = receivers["spec"]["template"]["spec"], PODS["dicom-node"]
    volumes = {volume["name"] for volume in pod["volumes"]}

    assert pod["securityContext"] == alone["securityContext"]
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["securityContext"] == alone["containers"][0]["securityContext"]
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
    (node,) = pod["containers"]
    mounts = {mount["mountPath"]: mount for mount in node["volumeMounts"]}
    assert mounts["/etc/dicom-node"] == {
        "name": "own-settings",
        "mountPath": "/etc/dicom-node",
        "readOnly": True,
    }
