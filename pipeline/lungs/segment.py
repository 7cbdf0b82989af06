"""Segment the lungs by a network and by an unsupervised method; quality gates choose.

Two methods that fail differently watch each other. Both masks leave the airways out, know right
from left, and keep opacities in; see `pipeline.lungs.unet` and `pipeline.lungs.unsupervised`.
Where they disagree, `pipeline.lungs.liao` is asked as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its own manual names it so)
from numpy.typing import NDArray

from pipeline.errors import UnsuitableSeries
from pipeline.lungs import gates
from pipeline.lungs.airways import airways_of
from pipeline.lungs.area_profile import one_sided_share
from pipeline.lungs.coarse_grid import (
    Coarse,
    Mask,
    array_of,
    box_of,
    coarsen,
    largest_nearby,
    on_coarse,
    refine,
    refined,
)
from pipeline.lungs.facts import facts_of
from pipeline.lungs.gas_outside_lungs import bowel_gas, stray_gas
from pipeline.lungs.liao import segment_liao
from pipeline.lungs.midline import middle_of_body
from pipeline.lungs.unet import segment_unet
from pipeline.lungs.unsupervised import air_inside, segment_unsupervised
from pipeline.lungs.whole_lungs import contradicts_orientation, whole_lungs
from pipeline.model.loading import Models
from pipeline.reasons import QualityFlag, UnsuitableReason
from pipeline.side_by_side import both
from pipeline.types import LEFT_LUNG, LUNG_OF_OPEN_SIDE, RIGHT_LUNG, CtVolume, LungMask

UNET, UNSUPERVISED = "unet", "unsupervised"
MIN_SHARE = 0.05  #: a component smaller than this share of the largest is no lung
AIR_DICE = 0.95
"""Overlap of lungs and air from which the other method is not asked; measured on six series and a
phantom: 0.96 to 0.97, and 0.94 with a stomach full of gas; the two methods agree there by 0.98."""


def segment(
    volume: CtVolume,
    models: Models,
    progress: Callable[[str, float], None] = lambda step, share: None,
) -> LungMask:
    """Find the lungs of a canonical volume.

    Parameters
    ----------
    volume
        Slices feet to head, rows towards the back, columns towards the patient's left.
    progress
        As of `pipeline.analyse.find`.

    Raises
    ------
    UnsuitableSeries
        ``lungs-not-found``, if neither method finds plausible lungs.
    """
    progress("lungs by the network", 0.05)
    coarse = coarsen(volume.hu, volume.spacing_mm)
    seen = models.manifest.networks.lungs.input
    fine = segment_unet(
        volume.hu,
        models.lungs,
        seen,
        models.slices_at_once,
        pixel_mm=volume.spacing_mm[1:],
        step=coarse.factors[0],
    )
    progress("lungs", 0.4)
    raw = on_coarse(fine, coarse)
    labels, method, doubts = _chosen(raw, coarse)
    doubts = (*doubts, *orientation_doubts(labels, coarse))
    whole = _outlined(labels, raw, fine, coarse) if method == UNET else refine(labels, coarse)
    return LungMask(labels=whole, method=method, doubts=doubts)


def _chosen(raw: Mask, coarse: Coarse) -> tuple[NDArray[np.uint8], str, tuple[gates.Failed, ...]]:
    """Labels, their method and what is doubtful: the network's, unless that must be asked.

    The other method takes as long as all of the rest, and its answer changes nothing where the
    network's lungs are plausible and the air inside the body is where they are.
    """
    labels = lungs_of_mask(raw, coarse)
    facts, witnessed = both(
        partial(facts_of, labels, coarse.hu, coarse.spacing_mm),
        partial(is_witnessed, labels, coarse),
    )
    if witnessed and not gates.doubts_of(facts):
        return labels, UNET, ()
    found = {UNET: labels, UNSUPERVISED: segment_unsupervised(coarse.hu, coarse.spacing_mm)}
    method, doubts = choose_method(found, coarse)
    return found[method], method, doubts


def is_witnessed(labels: NDArray[np.uint8], coarse: Coarse) -> bool:
    """Say whether the air inside the body confirms both lungs.

    It is what the unsupervised method begins with, before airways and bowel are taken off and
    opacities put in, here at half the resolution in the plane. Masks that agree with it by the
    gates for two methods, and by `AIR_DICE`, agree with that method as well.
    """
    lungs = labels[:, ::2, ::2]
    spacing_mm = (coarse.spacing_mm[0], 2 * coarse.spacing_mm[1], 2 * coarse.spacing_mm[2])
    air = air_inside(np.ascontiguousarray(coarse.hu[:, ::2, ::2]))
    shares = [
        one_sided_share(lungs == side, air & (lungs != other), spacing_mm)  # air beside is of both
        for side, other in ((RIGHT_LUNG, LEFT_LUNG), (LEFT_LUNG, RIGHT_LUNG))
    ]
    return gates.dice(lungs > 0, air) >= AIR_DICE and max(shares) <= gates.MAX_ONE_SIDED


def candidates(raw: Mask, coarse: Coarse) -> Mapping[str, NDArray[np.uint8]]:
    """Labels of each method on the coarse grid, the preferred one first.

    Parameters
    ----------
    raw
        What the network sees as lung.
    """
    return {
        UNET: lungs_of_mask(raw, coarse),
        UNSUPERVISED: segment_unsupervised(coarse.hu, coarse.spacing_mm),
    }


def choose_method(
    found: Mapping[str, NDArray[np.uint8]], coarse: Coarse
) -> tuple[str, tuple[gates.Failed, ...]]:
    """Choose among the masks of several methods, the preferred one first.

    Methods that disagree are compared with a third one, which is slower to run and coarser.

    Returns
    -------
    tuple
        Name of the method, and what remains doubtful.

    Raises
    ------
    UnsuitableSeries
        ``lungs-not-found``, if none is plausible; the text has the figures.
    """
    doubts = {
        name: gates.doubts_of(facts_of(labels, coarse.hu, coarse.spacing_mm))
        for name, labels in found.items()
    }
    if gates.choose(doubts) is None:
        text = "; ".join(
            f"{name}: {', '.join(f'{doubt.code} {doubt.text}' for doubt in failed)}"
            for name, failed in doubts.items()
        )
        raise UnsuitableSeries(UnsuitableReason.LUNGS_NOT_FOUND, f"no plausible lungs ({text})")
    first, *others = found.values()
    apart = [
        failed
        for other in others
        for failed in gates.agreement(QualityFlag.LUNGS_METHODS_DISAGREE, first > 0, other > 0)
    ]
    if apart:
        third = segment_liao(coarse.hu, coarse.spacing_mm)
        for name, labels in found.items():
            doubts[name] += gates.agreement(QualityFlag.LUNGS_CROSS_CHECK, labels > 0, third)
    else:
        apart = [
            failed
            for other in others
            for failed in gates.agreement_of_each(first, other, coarse.spacing_mm)
        ]
    method = gates.choose(doubts) or next(iter(found))
    return method, (*doubts[method], *apart)


def orientation_doubts(labels: NDArray[np.uint8], coarse: Coarse) -> Iterator[gates.Failed]:
    """Doubt the orientation of a volume where the sides stay open because the body contradicts."""
    if LUNG_OF_OPEN_SIDE not in labels:
        return
    hu, spacing_mm, lungs = coarse.hu, coarse.spacing_mm, labels > 0
    middle = middle_of_body(hu, spacing_mm)
    airways = airways_of(hu, lungs, middle, spacing_mm)
    if contradicts_orientation(hu, lungs, airways, middle, spacing_mm):
        text = "spine or trachea lie where Image Orientation (Patient) has the front or the feet"
        yield gates.Failed(code=QualityFlag.ORIENTATION, text=text)


def lungs_of_mask(mask: Mask, coarse: Coarse) -> NDArray[np.uint8]:
    """Make lungs of a raw mask: large components, no bowel gas, and see `whole_lungs`."""
    if not mask.any():
        return np.zeros(mask.shape, np.uint8)
    inside = box_of(mask, (0, 0, 0))
    gas, of_bowel = both(
        partial(stray_gas, coarse.hu, mask, coarse.spacing_mm),
        partial(bowel_gas, coarse.hu[inside], coarse.spacing_mm),
    )
    gas[inside] |= of_bowel
    large = _large_parts(mask & ~gas)
    if not large.any():
        return np.zeros(mask.shape, np.uint8)
    return whole_lungs(large, gas, coarse.hu, coarse.spacing_mm)


def _large_parts(mask: Mask) -> Mask:
    """Components that are not much smaller than the largest."""
    if not mask.any():
        return mask
    inside = box_of(mask, (0, 0, 0))
    image = sitk.GetImageFromArray(np.ascontiguousarray(mask[inside]).view(np.uint8))
    parts = array_of(sitk.ConnectedComponent(image))
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    large = np.zeros_like(mask)
    large[inside] = (sizes >= max(1, MIN_SHARE * sizes.max()))[parts]
    return large


def _outlined(
    labels: NDArray[np.uint8], raw: Mask, fine: Mask, coarse: Coarse
) -> NDArray[np.uint8]:
    """Labels of the coarse grid within the network's fine outline.

    At the outline a block is lung in part: it takes the label beside it. What was filled stays
    filled; what was taken off the raw mask (airways, small parts) stays off.
    """
    beside, outside = both(
        partial(largest_nearby, labels, (1, 1, 1)), partial(largest_nearby, labels == 0, (0, 1, 1))
    )
    sides = np.where(labels > 0, labels, np.where(raw, 0, beside)).astype(np.uint8)
    inside = ~outside | ((labels > 0) & ~raw)
    outlined = np.empty(coarse.shape, np.uint8)
    for slices, side, inner in zip(coarse.blocks, sides, inside, strict=True):
        within = fine[slices] | refined(inner, coarse)
        np.multiply(within, refined(side, coarse), out=outlined[slices])
    return outlined
