"""The switch and the last day of a model: what may be done, and what is told of it."""

from datetime import date

import pytest

from dicom_node.analysis.oversight.permission import Oversight, Permission, Switch

TODAY = date(2026, 11, 30)


def permission(switch: Switch = "on", expires: date | None = None) -> Permission:
    return Oversight(switch=switch, expires=expires).permission(TODAY)


def test_a_model_without_a_last_day_may_do_everything() -> None:
    assert permission() == Permission(analyses=True, ends=False, delivers=True, fault="")


@pytest.mark.parametrize(
    ("switch", "ends"),
    [("hold", False), ("off", True)],
)
def test_a_switch_stops_analyses_and_results_whatever_the_day(switch: Switch, ends: bool) -> None:
    said = permission(switch, date(2030, 1, 1))

    assert (said.analyses, said.ends, said.delivers) == (False, ends, False)
    assert "[analysis] switch" in said.fault


@pytest.mark.parametrize(
    ("expires", "analyses", "fault"),
    [
        (date(2026, 12, 31), True, ""),
        (date(2026, 12, 30), True, "the model expires: its last day is 2026-12-30"),
        (date(2026, 11, 30), True, "the model expires: its last day is 2026-11-30"),
        (
            date(2026, 11, 29),
            False,
            "the model has expired, its last day was 2026-11-29: series wait",
        ),
    ],
)
def test_a_last_day_is_told_a_month_before_and_stops_analyses_after_it(
    expires: date, analyses: bool, fault: str
) -> None:
    said = permission(expires=expires)

    assert (said.analyses, said.ends, said.delivers) == (analyses, False, True)
    assert said.fault == fault
