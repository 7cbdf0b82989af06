"""Results say nothing of a lung that was not found, and leave a side open that is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dicom_node.cli.process import findings
from pipeline.encode.common.sentences import involvement_sentence, lesion_sentence
from pipeline.encode.common.sentences import lung_volume_sentence as volume_sentence
from pipeline.encode.page.layout import page
from pipeline.encode.summary import summary
from pipeline.types import LUNG_OF_OPEN_SIDE, RIGHT_LUNG, Analysis, Involvement, LungMask
from tests.support.samples.encode_samples import analysis, context, ct_series, lesion
from tests.unit.pipeline.encode.sr.test_report import coded, groups, numbers, written

ONE = Involvement(right_ml=2100, left_ml=0, right=0.08, left=None, total=0.08)
OPEN = Involvement(right_ml=0, left_ml=0, open_ml=4000, right=None, left=None, total=0.05)


def with_lungs(label: int, involved: Involvement) -> Analysis:
    """Every lung of one label; opacities on no side."""
    plain = analysis()
    held = plain.lungs.labels == RIGHT_LUNG if label == RIGHT_LUNG else plain.lungs.labels > 0
    return replace(
        plain,
        lungs=LungMask(labels=np.where(held, label, 0).astype(np.uint8), method="unet"),
        lesions=tuple(replace(found, side=None) for found in plain.lesions),
        involvement=involved,
    )


def test_nothing_is_said_of_a_lung_that_was_not_found() -> None:
    found = with_lungs(RIGHT_LUNG, ONE)
    seg, sr = written(ct_series(), found)

    assert {item.CodeMeaning for item in coded(sr, "363698007")} == {"Right lung", "Lung"}
    assert [item.CodeMeaning for item in coded(groups(sr)[0], "363698007")] == ["Right lung"]
    assert numbers(groups(sr)[0])["118565006"] == (2100.0, "mL")
    labels = [item.SegmentLabel for item in seg.SegmentSequence]
    assert "Right lung" in labels
    assert "Left lung" not in labels
    assert "8.0 % of the right lung (no left lung found)" in involvement_sentence(found)
    assert volume_sentence(ONE) == "Lung volume 2100 ml (right 2100 ml, no left lung found)."
    console = list(findings(summary(ct_series(), found)))
    assert "lungs 2100 ml (right 2100), by unet" in console
    assert "involvement 8.0 % (right 8.0 %)" in console
    assert page(ct_series(), found, context()).any()


def test_lungs_that_are_not_told_apart_stay_open_in_every_result() -> None:
    found = with_lungs(LUNG_OF_OPEN_SIDE, OPEN)
    seg, sr = written(ct_series(), found)

    assert {item.CodeMeaning for item in coded(sr, "363698007")} == {"Lung"}
    assert numbers(groups(sr)[0])["118565006"] == (4000.0, "mL")
    assert numbers(groups(sr)[-1])["118565006"] == (4000.0, "mL")
    segment = next(item for item in seg.SegmentSequence if item.SegmentLabel == "Lung, side open")
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Lung"
    assert "right and left not told apart" in involvement_sentence(found)
    assert volume_sentence(OPEN) == "Lung volume 4000 ml (side open 4000 ml)."
    assert summary(ct_series(), found)["lungs_ml"]["open"] == 4000
    assert "lungs 4000 ml (open 4000), by unet" in list(findings(summary(ct_series(), found)))
    assert page(ct_series(), found, context()).any()


def test_an_opacity_without_a_side_has_none_in_words() -> None:
    assert lesion_sentence(replace(lesion(3), side=None), "").startswith("Opacity 3: side open, ")


def test_an_opacity_is_told_with_its_long_axis_where_it_was_measured() -> None:
    said = lesion_sentence(replace(lesion(3), long_axis_mm=22.6), "image 4")
    assert ", long axis 23 mm, mean " in said
    assert "long axis" not in lesion_sentence(replace(lesion(3), long_axis_mm=None), "image 4")
