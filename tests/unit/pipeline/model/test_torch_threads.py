"""Halves of the work are done at one time, each by its half of torch's threads."""

from collections.abc import Iterator

import pytest
import torch

from pipeline.model.torch_threads import in_halves


@pytest.fixture(params=[1, 2, 5])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("total", [0, 1, 7])
def test_every_item_is_done_once_by_threads_that_share_the_processor(
    total: int, threads: int
) -> None:
    done: list[int] = []
    seen: set[int] = set()

    def work(items: range) -> None:
        assert torch.is_inference_mode_enabled()
        seen.add(torch.get_num_threads())
        done.extend(items)

    in_halves(total, work)

    assert sorted(done) == list(range(total))
    assert seen == {max(1, threads // 2)}
    assert torch.get_num_threads() == threads


def test_a_fault_of_one_half_is_raised_and_leaves_the_threads_as_they_were(threads: int) -> None:
    def work(items: range) -> None:
        if 6 in items:
            raise ValueError("expected another shape")

    with pytest.raises(ValueError, match="another shape"):
        in_halves(7, work)

    assert torch.get_num_threads() == threads
