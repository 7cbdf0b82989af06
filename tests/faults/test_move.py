"""A node in use moves to another disk, by the steps of the README, and works on."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from config.reader import load
from dicom_node.demo.stand_in_pacs import StandInPacs
from storage.database.engine import open_database
from tests.faults.test_backup import command, series, start, store
from tests.support.node_process import NodeProcess, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.database, pytest.mark.timeout(600)]


def test_a_node_moves_to_another_disk(
    make_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path, database_kind: str
) -> None:
    node = make_node(pacs.port)
    if database_kind == "sqlite":  # it lies in the folder, and moves with it
        text = node.ini.read_text()
        node.ini.write_text("\n".join(line for line in text.splitlines() if "_url" not in line))
    first, second = series(tmp_path / "first", 1), series(tmp_path / "second", 2)
    start(node)
    store(node, first)
    node.wait_for_state("delivered")
    assert node.stop() == 0
    old, new = load(node.ini).storage.folder, tmp_path / "disk" / "data"

    shutil.copytree(old, new)  # cp -a OLD NEW
    command("settings", "set", "storage.folder", new, "--config", node.ini)
    assert "in order" in command("check", "--config", node.ini)
    said = command("doctor", "--contents", "--config", node.ini)
    assert "Files, rows and deliveries agree." in said
    shutil.rmtree(old)
    start(node)

    store(node, first)  # repeated: nothing new comes of it
    store(node, second)
    wait_until(lambda: node.states() == ["delivered"] * 2, seconds=120, what="both series")
    sent = [uid for uid, _ in pacs.received]
    assert len(sent) == len(set(sent)), "a UID went out twice"
    assert node.stop() == 0
    assert not old.exists()
    if database_kind == "sqlite":
        database = open_database(load(node.ini).database_url)
        assert str(new) in str(database.url)
        database.dispose()
