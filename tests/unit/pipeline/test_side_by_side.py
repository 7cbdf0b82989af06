"""Two functions at a time: what they return, and what they raise."""

from threading import Barrier

import pytest

from pipeline.side_by_side import both

PATIENCE = 10.0  #: seconds


def test_both_are_at_work_at_one_time() -> None:
    meeting = Barrier(2)

    def met(name: str) -> str:
        meeting.wait(PATIENCE)  # raises, if the other one comes only afterwards
        return name

    assert both(lambda: met("first"), lambda: met("second")) == ("first", "second")


def test_a_fault_of_either_is_raised_and_of_two_that_of_the_first() -> None:
    def fail(text: str) -> None:
        raise ValueError(text)

    with pytest.raises(ValueError, match="only"):
        both(lambda: fail("only"), lambda: None)
    with pytest.raises(ValueError, match="second"):
        both(lambda: None, lambda: fail("second"))
    with pytest.raises(ValueError, match="first"):
        both(lambda: fail("first"), lambda: fail("second"))
