"""Success leaves the node only when the instance is on the disk: file, name and directory."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from pathlib import Path

import pytest
from pydicom import Dataset

from pipeline.synthetic.phantom.dicom import phantom_datasets
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from tests.dicom.test_store_scp import send
from tests.support.power_cut import PowerCut
from tests.support.reception import open_resources, running_receiver

WAIT_SECONDS = 10
TOO_EARLY_SECONDS = 0.3  #: an answer that does not wait for the disk would be here


@pytest.fixture
def slices() -> list[Dataset]:
    return phantom_datasets(make_phantom(PhantomSpec(slices=1, size=32, lesions=0)), seed=1)


class Hold:
    """Holds up the synchronisation of the file, or of its directory."""

    def __init__(self, suffix: str) -> None:
        self._suffix = suffix
        self.reached, self.go_on = threading.Event(), threading.Event()

    def __call__(self, path: Path) -> None:
        of_instance = path.parent.name in {"tmp", "incoming"}
        if of_instance and path.is_dir() is (self._suffix == "directory"):
            self.reached.set()
            assert self.go_on.wait(WAIT_SECONDS)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("what", ["file", "directory"])
def test_success_waits_for_the_disk(
    tmp_path: Path, slices: list[Dataset], what: str, fast: bool
) -> None:
    resources, hold = open_resources(tmp_path), Hold(what)
    cut = PowerCut(tmp_path, before_sync=hold)
    with (
        running_receiver(resources, fast=fast) as running,
        cut.watching(),
        ThreadPoolExecutor(1) as sender,
    ):
        answer: Future[list[int]] = sender.submit(send, running.address, slices)
        assert hold.reached.wait(WAIT_SECONDS)
        early, _ = wait_for([answer], TOO_EARLY_SECONDS)
        hold.go_on.set()
        assert answer.result(WAIT_SECONDS) == [0x0000]

    assert not early
    (row,) = running.instances()
    assert cut.left()[row.path] == resources.folder.locate(row.path).read_bytes()
    assert cut.early == []
