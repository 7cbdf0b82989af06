"""Every word, place, size, weight and colour of the summary page is as somebody has read it."""

from tests.support.recorded_page import HELD, recorded


def test_the_page_is_drawn_as_it_was_read() -> None:
    """After a change on purpose: ``python -m tests.support.recorded_page``, and read it again."""
    assert recorded().splitlines() == HELD.read_text(encoding="utf-8").splitlines()
