"""The order in which a node starts: what must be ready before the first instance may come."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Never

import pytest

from config.settings import Settings, StorageSettings
from dicom_node.assembly.resources import open_resources
from dicom_node.closing.archive_counts import ArchiveCounts
from dicom_node.errors import NodeError
from dicom_node.node import lifecycle
from dicom_node.reception.transfers import Transfers


def test_a_node_of_its_own_asks_archives_from_the_first_instance_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Callable[..., object]] = []

    def listens(*parts: object) -> Never:
        begun.extend(part.when_begun for part in parts if isinstance(part, Transfers))
        raise NodeError("from here on instances come")

    monkeypatch.setattr(lifecycle, "start_reception", listens)
    url = f"sqlite:///{tmp_path / 'node.sqlite'}"
    settings = Settings(storage=StorageSettings(folder=tmp_path / "data", database_url=url))
    with pytest.raises(NodeError, match="from here on"):
        lifecycle.start_node(settings, open_resources(settings))
    (act,) = begun
    assert isinstance(getattr(act, "__self__", None), ArchiveCounts)
