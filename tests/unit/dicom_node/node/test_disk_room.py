"""A disk that has no room for instances is told, and so is its end."""

from pathlib import Path

from dicom_node.node.disk_room import watch_room
from dicom_node.node.reception import _look_at_folder
from storage.files.folder import StorageFolder
from tests.support.reception import open_resources


def test_without_room_above_the_reserve_the_node_is_not_ready(tmp_path: Path) -> None:
    free = [5_000_000_000]
    folder = StorageFolder(tmp_path, 2_000_000_000, free=lambda _: free[0])
    resources = open_resources(tmp_path, storage=folder)

    def told() -> list[tuple[str, bool, str]]:
        _look_at_folder(resources)  # the job of every node that receives
        return [(one.part, one.is_ready, one.reason) for one in resources.health.snapshot()]

    assert told() == []
    free[0] = 1_500_000_000
    ((part, is_ready, reason),) = told()
    assert (part, is_ready) == ("disk", False)
    assert "the reserve of 2 GB, got 1.5 GB" in reason
    free[0] = 2_000_000_001
    assert told() == []


def test_a_folder_that_is_away_is_told_elsewhere(tmp_path: Path) -> None:
    def away(_: Path) -> int:
        raise OSError("away")

    resources = open_resources(tmp_path, storage=StorageFolder(tmp_path, 0, free=away))
    watch_room(resources)

    assert resources.health.snapshot() == ()
