"""Ask why a series is not analysed."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom import Dataset

from pipeline.errors import UnsuitableSeries
from pipeline.series.eligibility import eligible
from pipeline.series.image_rules import Reason, SelectionRules


def why_not(headers: Sequence[Dataset], rules: SelectionRules) -> Reason | None:
    """Give the rule that a series breaks; None if it is eligible."""
    try:
        eligible(headers, rules)
    except UnsuitableSeries as broken:
        return Reason(code=broken.code, text=broken.text)
    return None
