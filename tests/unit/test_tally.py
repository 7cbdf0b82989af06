"""Lines of a run take the place of older ones of the same promise; others stay."""

from tests.reliability.tally import Tally


def test_a_table_is_read_back_and_brought_up_to_date() -> None:
    before = Tally()
    before.note("killed", "10 kills", "0 lost")
    before.note("damaged", "7 files", "0 crashes")

    now = Tally.of(f"# Title\n\nWords.\n\n{before.table()}")
    now.note("killed", "1,000 kills", "0 lost")

    assert list(now.lines) == ["killed", "damaged"]
    assert now.lines["killed"][:2] == ("1,000 kills", "0 lost")
    assert now.lines["damaged"] == before.lines["damaged"]
    assert Tally.of(now.table()) == now
