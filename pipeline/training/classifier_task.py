"""Training task of the classifiers: score each case; where its lesions are known, place them.

Lesion masks are learnt from unless `ClassifierTask.masks` is off: beside the cross-entropy of the
label, a place loss teaches the cells of the feature map where the lesions lie. A network trained
so is not weakly supervised on such cases; its model card must say so. Labels of single slices are
learnt from where there are any: the most suspicious cells of a plane are to say whether it is
infected, and which ones they are stays open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional

from pipeline.cases.classifier_input import Picture, prepared_input
from pipeline.cases.prepared import Prepared, Shape, load
from pipeline.cases.slice_labels import UNKNOWN
from pipeline.classifier.input import AVERAGES, mirrored_count
from pipeline.model.manifest import ClassifierInput
from pipeline.networks.decovnet import FEATURE_STRIDE, FEATURES, NEGATIVE, POSITIVE, DeCoVNet
from pipeline.networks.evidence_net import EvidenceNet
from pipeline.networks.fcclf import FCClf
from pipeline.training.augment import random_pictures
from pipeline.training.fit import GOAL

LOCATING = (DeCoVNet, FCClf)  #: their feature map has the cells in which lesions are looked for
TRAINING_LENGTH_MM = 256.0  #: length that the planes of a picture stand for, in every case
LESION_WEIGHT = 6.0  #: cells with lesions are rare
SLICES_WEIGHT = 0.5  #: of what labels of slices teach, beside the label of the case
SLICE_CELLS = 3  #: most suspicious cells of a plane, of about 14 x 14 mm each, that speak for it
STEADY_WEIGHT = 0.4  #: of the variance of the scores of a case's views, in logits
LABEL_SMOOTHING = 0.05  #: helps the calibration under shift (Roschewitz et al., arXiv:2507.07780)


class WithAuxHead(nn.Module):
    """A classifier, with a head for the place of lesions that is thrown away after training.

    Parameters
    ----------
    classifier
        A network of this package. Where DeCoVNet's backbone makes the feature map, a 1x1x1
        convolution beside the head learns the place of lesions; EvidenceNet's own evidence map
        does so itself, and other networks learn labels only.
    """

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier
        self.locate = nn.Conv3d(FEATURES, 1, 1) if isinstance(classifier, LOCATING) else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits ``(B, 2)``, and a logit of lesion for each cell ``(B, t, h, w)`` or None."""
        network = self.classifier
        if isinstance(network, EvidenceNet):
            features = network.features(x)
            return network.head(features), network.evidence_map(features)
        if self.locate is not None and isinstance(network, LOCATING):
            features = network.features(x)
            return network.head(features), self.locate(features)[:, 0]
        logits: Tensor = network(x)
        return logits, None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassifierBatch:
    """Views of the cases of one step, half of them positive; those of one case are neighbours.

    Attributes
    ----------
    pictures
        ``(B, 2, T, H, W)`` float32.
    labels
        ``(B,)`` int64.
    lesions, lungs
        ``(B, T // 2, H / 8, W / 8)`` float32: share of each cell of the feature map.
    known
        ``(B,)`` float32: 1 where the lesions' places are the truth.
    infected
        ``(B, T // 2)`` float32: 1 or 0 as labels of slices say of the planes of the feature map,
        `UNKNOWN` where they do not.
    """

    pictures: Tensor
    labels: Tensor
    lesions: Tensor
    lungs: Tensor
    known: Tensor
    infected: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Prepared cases: to train on, by label, and to validate on."""

    positive: Sequence[Path]
    negative: Sequence[Path]
    validation: Sequence[Path]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassifierTask:
    """Train a classifier; see `pipeline.training.fit.TrainingTask`.

    Attributes
    ----------
    pairs
        Positive and negative cases in each step.
    masks
        Whether known lesion masks are learnt from; if not, only the labels are.
    views
        Views of each case in a step: of two, the scores are to differ as little as can be.
    by_slice
        Whether labels of single slices are learnt from, where there are any.
    """

    network: WithAuxHead
    files: Files
    wanted: ClassifierInput
    seed: int
    pairs: int = 1
    masks: bool = True
    views: int = 1
    by_slice: bool = True

    @property
    def shape(self) -> Shape:
        """Planes, rows, columns of a training picture."""
        planes = round(TRAINING_LENGTH_MM / self.wanted.slice_mm)
        if self.wanted.sampling != AVERAGES:
            return planes, self.wanted.rows, self.wanted.columns
        return (
            planes - planes % 4,
            mirrored_count(self.wanted.rows),
            mirrored_count(self.wanted.columns),
        )

    def draw(self, step: int) -> ClassifierBatch:
        """Draw positive and negative cases alike often, each in a random view."""
        rng = np.random.default_rng([self.seed, step])
        pictures, labels, known = [], [], []
        for label, files in ((POSITIVE, self.files.positive), (NEGATIVE, self.files.negative)):
            for _ in range(self.pairs):
                case = load(files[int(rng.integers(len(files)))])
                if not self.by_slice:
                    case = replace(case, infected=None)
                pictures += random_pictures(case, self.shape, self.wanted, rng, views=self.views)
                labels += [label] * self.views
                known += [float(case.lesions_known and self.masks)] * self.views
        return ClassifierBatch(
            pictures=torch.from_numpy(np.stack([picture.channels for picture in pictures])),
            labels=torch.tensor(labels),
            lesions=torch.stack([cells(picture.lesions) for picture in pictures]),
            lungs=torch.stack([cells(picture.lungs) for picture in pictures]),
            known=torch.tensor(known),
            infected=torch.from_numpy(np.stack([infected_cells(picture) for picture in pictures])),
        )

    def losses(self, batch: ClassifierBatch, step: int) -> Mapping[str, Tensor]:
        """Cross-entropy of scores and of the places of lesions; how far views of a case differ."""
        del step
        device = next(self.network.parameters()).device
        logits, places = self.network(batch.pictures.to(device))
        logits = logits.float()
        losses = {
            "score": functional.cross_entropy(
                logits, batch.labels.to(device), label_smoothing=LABEL_SMOOTHING
            )
        }
        if self.views > 1:
            margins = (logits[:, POSITIVE] - logits[:, NEGATIVE]).reshape(-1, self.views)
            losses["steady"] = STEADY_WEIGHT * margins.var(dim=1).mean()
        if places is not None and bool(batch.known.any()):
            losses["place"] = _place_loss(places.float(), batch)
        if places is not None and bool((batch.infected != UNKNOWN).any()):
            losses["slices"] = SLICES_WEIGHT * _slices_loss(places.float(), batch)
        return losses

    def validate(self, network: nn.Module) -> Mapping[str, float]:
        """Cross-entropy and ROC AUC on the validation cases; the former is the goal."""
        classifier = cast(WithAuxHead, network).classifier
        cases = [load(file) for file in self.files.validation]
        margins = np.array([margin(classifier, case, self.wanted) for case in cases])
        labels = np.array([case.label for case in cases])
        loss = float(np.logaddexp(0, np.where(labels == POSITIVE, -margins, margins)).mean())
        auc = float(roc_auc_score(labels, margins))
        return {"validation cross-entropy": loss, "validation AUC": auc, GOAL: -loss}


def margin(network: nn.Module, case: Prepared, wanted: ClassifierInput) -> float:
    """Logit of positive less that of negative, for the whole box of a prepared case."""
    return margin_of(network, prepared_input(case, wanted).tensor)


@torch.inference_mode()
def margin_of(network: nn.Module, tensor: NDArray[np.float32]) -> float:
    """Logit of positive less that of negative, for an input ``(1, 2, T, H, W)``."""
    device = next(network.parameters()).device
    logits = network.eval()(torch.from_numpy(tensor).to(device)).double()[0]
    return float(logits[POSITIVE] - logits[NEGATIVE])


def cells(mask: NDArray[np.float32]) -> Tensor:
    """Mean of a mask ``(T, H, W)`` over each cell of the feature map."""
    planes, rows, columns = FEATURE_STRIDE
    padding = (0, rows // 2, columns // 2)  # a cell is centred on its first row and column
    pooled = functional.avg_pool3d(
        torch.from_numpy(mask)[None], (planes, rows, columns), (planes, rows, columns), padding
    )
    size = (mask.shape[0] // planes, -(-mask.shape[1] // rows), -(-mask.shape[2] // columns))
    return pooled[0, : size[0], : size[1], : size[2]]


def infected_cells(picture: Picture) -> NDArray[np.float32]:
    """Label of each plane of the feature map ``(T // 2,)``, where its planes do not contradict."""
    stride = FEATURE_STRIDE[0]
    count = len(picture.lungs) // stride
    if picture.infected is None:
        return np.full(count, UNKNOWN, np.float32)
    planes = picture.infected[: count * stride].reshape(count, stride)
    yes, no = (planes == 1).any(axis=1), (planes == 0).any(axis=1)
    return np.where(yes ^ no, yes, UNKNOWN).astype(np.float32)


def _slices_loss(places: Tensor, batch: ClassifierBatch) -> Tensor:
    """Cross-entropy of the most suspicious cells of each plane whose slices have a label."""
    infected, lungs = batch.infected.to(places.device), batch.lungs.to(places.device)
    held = (lungs > 0).flatten(2)
    known = (infected != UNKNOWN) & held.any(dim=2)
    inside = places.flatten(2).masked_fill(~held, -torch.inf)
    highest = inside.topk(SLICE_CELLS, dim=2).values
    counted = highest.isfinite()
    evidence = highest.masked_fill(~counted, 0).sum(dim=2) / counted.sum(dim=2).clamp(min=1)
    loss = functional.binary_cross_entropy_with_logits(
        evidence, infected.clamp(min=0), weight=known.float(), reduction="sum"
    )
    return loss / known.sum().clamp(min=1)


def _place_loss(places: Tensor, batch: ClassifierBatch) -> Tensor:
    """Cross-entropy over the lungs' cells of the cases whose lesions are known."""
    truth = (2 * batch.lesions.to(places.device)).clamp(max=1)
    known = batch.known.to(places.device)[:, None, None, None]
    weight = known * batch.lungs.to(places.device) * (1 + LESION_WEIGHT * truth)
    loss = functional.binary_cross_entropy_with_logits(
        places, truth, weight=weight, reduction="sum"
    )
    return loss / weight.sum().clamp(min=1)
