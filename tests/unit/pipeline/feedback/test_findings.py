"""Findings that readers name are known by the Tracking UIDs of our own objects."""

from pydicom import Dataset

from pipeline.encode.bundle import encode
from pipeline.encode.common.segments import finding_names
from pipeline.feedback.codes import TRACKING_UID
from pipeline.feedback.content import tree
from tests.support.samples.encode_samples import KEY, analysis, context, ct_series


def tracking_uids(document: Dataset) -> set[str]:
    if "SegmentSequence" in document:
        return {str(item.TrackingUID) for item in document.SegmentSequence}
    if "ContentSequence" not in document:
        return set()
    items = tree(document).below()
    return {str(item.dataset.UID) for item in items if item.named(TRACKING_UID)}


def test_every_tracking_uid_of_a_result_has_a_name() -> None:
    bundle = encode(ct_series(), analysis(), context())
    found = set[str]().union(*(tracking_uids(item.dataset) for item in bundle.objects))
    names = finding_names(KEY)
    assert found
    assert found <= names.keys()
    assert "opacity-1" in {names[uid] for uid in found}
