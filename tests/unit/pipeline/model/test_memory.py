"""Work is repeated with less memory when it runs out, then on the CPU, then refused."""

import pytest
import torch

from dicom_node.analysis.worker.findings import frugality
from dicom_node.analysis.worker.models import Device
from pipeline.errors import OutOfMemory
from pipeline.model.memory import first_that_fits, in_batches, ran_out

GPU = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def too_little(fault: Exception = GPU) -> int:
    raise fault


@pytest.mark.parametrize(("room", "expected"), [(9, [8, 2]), (5, [4, 4, 2]), (1, [1] * 10)])
def test_batches_are_halved_until_they_fit(room: int, expected: list[int]) -> None:
    done: list[slice] = []

    def work(batch: slice) -> None:
        if batch.stop - batch.start > room:
            raise GPU
        done.append(batch)

    in_batches(range(10), 8, work)

    items = [item for batch in done for item in range(10)[batch]]
    assert items == list(range(10))
    assert [len(range(10)[batch]) for batch in done] == expected


def test_one_that_does_not_fit_is_a_fault() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        in_batches(range(10), 8, lambda _: too_little())


def test_another_fault_is_not_tried_again() -> None:
    tried: list[slice] = []

    def work(batch: slice) -> None:
        tried.append(batch)
        raise RuntimeError("expected another shape")

    with pytest.raises(RuntimeError, match="another shape"):
        in_batches(range(10), 8, work)
    assert len(tried) == 1
    with pytest.raises(KeyError):
        first_that_fits([lambda: too_little(KeyError("x")), lambda: 1])


def test_the_first_way_that_fits_is_taken() -> None:
    taken: list[int] = []
    ways = [too_little, lambda: too_little(MemoryError()), lambda: 3, lambda: taken.append(4) or 4]
    assert first_that_fits(ways) == 3
    assert taken == []


def test_no_way_that_fits_is_out_of_memory() -> None:
    with pytest.raises(OutOfMemory, match=r"2 ways .*: OutOfMemoryError, MemoryError"):
        first_that_fits([too_little, lambda: too_little(MemoryError())])


def test_the_allocator_of_the_cpu_is_understood() -> None:
    with pytest.raises(RuntimeError) as fault:
        torch.empty(2**60, dtype=torch.uint8)
    assert isinstance(fault.value, Exception)
    assert ran_out(fault.value)


@pytest.mark.parametrize(
    ("attempt", "ways"),
    [
        (1, [("cuda", 0), ("cuda", 1), ("cpu", 1)]),
        (2, [("cuda", 1), ("cpu", 1)]),
        (3, [("cpu", 1)]),
        (9, [("cpu", 1)]),
    ],
)
def test_each_attempt_asks_for_less(attempt: int, ways: list[tuple[Device, int]]) -> None:
    assert list(frugality("cuda", attempt)) == ways
