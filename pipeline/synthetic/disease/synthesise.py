"""Make a data set of synthetic cases: diseases painted into phantoms and into real lungs.

The result is what every training and evaluation command takes: prepared cases and ``cases.csv``.
A patient is one pair of lungs, and all that was painted into it stays in one split.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from zlib import crc32

import numpy as np

from pipeline.atomic_write import write_whole
from pipeline.cases.case_list import Case, Split
from pipeline.cases.prepared import SUFFIX, Prepared, prepare, save
from pipeline.errors import PipelineError
from pipeline.model.loading import Models
from pipeline.model.manifest import ClassifierInput
from pipeline.synthetic.disease.canvases import depth_of, phantom_canvas, view_of
from pipeline.synthetic.disease.patient import paint_case, paint_twin
from pipeline.synthetic.disease.scanner import acquire

CASES = "cases.csv"
COLUMNS = ("path", "patient", "label", "split")
TWIN_SHARE = 0.5  #: of the pairs, that are twins: the same disease with and without opacities
TWIN_CHANCE = 2  #: last part of the seed of what twins share; 0 and 1 are a pair's own

Report = Callable[[int, int], None]  #: lungs done, of how many


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Seed and size of a data set.

    Attributes
    ----------
    phantoms
        Number of phantom patients in each split.
    pairs_per_phantom, pairs_per_real
        Positive and negative cases painted into each pair of lungs.
    """

    seed: int
    phantoms: dict[Split, int]
    pairs_per_phantom: int
    pairs_per_real: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lungs:
    """A pair of lungs to paint into, made by ``make`` when it is painted.

    Attributes
    ----------
    name
        Of its files: of our making, and of no other pair of lungs.
    seed
        The paint's, besides the recipe's.
    """

    name: str
    seed: int
    patient: str
    split: Split
    pairs: int
    make: Callable[[], Prepared]


def synthesise(
    folder: Path,
    recipe: Recipe,
    real: Sequence[Case],
    models: Models,
    report: Report = lambda done, total: None,
    *,
    wanted: ClassifierInput | None = None,
) -> Path:
    """Write the data set; returns its ``cases.csv``.

    Parameters
    ----------
    real
        Healthy chests to paint into; each must name its split.
    models
        Find the real lungs.
    wanted
        Input of the network that the cases are for; None takes that of the models' classifier.

    Raises
    ------
    PipelineError
        If a real chest names no split, or cannot be prepared.
    """
    if missing := [case.place for case in real if case.split is None]:
        raise PipelineError(f"a split of every chest expected, got none in {', '.join(missing)}")
    wanted = wanted or models.manifest.networks.classifier.input
    pairs_of_lungs = [*_phantoms(recipe, wanted), *_real(recipe, real, models, wanted)]
    rows: list[tuple[str, str, int, str]] = []
    for done, lungs in enumerate(pairs_of_lungs, start=1):
        rows += _painted(folder, lungs, recipe.seed)
        report(done, len(pairs_of_lungs))
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    write_whole(folder / CASES, stream.getvalue().encode())
    return folder / CASES


def _phantoms(recipe: Recipe, wanted: ClassifierInput) -> Iterator[Lungs]:
    """Phantoms of every split; no two share a seed, whatever the recipe's seed."""
    number = 0
    for split, count in recipe.phantoms.items():
        for _ in range(count):
            seed = recipe.seed * 100_000 + number
            number += 1
            name = f"phantom-{seed}"
            yield Lungs(
                name=name,
                seed=crc32(name.encode()),
                patient=name,
                split=split,
                pairs=recipe.pairs_per_phantom,
                make=partial(phantom_canvas, seed, wanted),
            )


def _real(
    recipe: Recipe, real: Sequence[Case], models: Models, wanted: ClassifierInput
) -> Iterator[Lungs]:
    """Real chests; a patient's second chest is painted otherwise than her first."""
    chests: Counter[str] = Counter()
    for number, case in enumerate(real, start=1):
        chests[case.patient] += 1
        which = f" {chests[case.patient]}" if chests[case.patient] > 1 else ""
        yield Lungs(
            name=f"chest-{number:04d}",
            seed=crc32(f"{case.patient}{which}".encode()),
            patient=case.patient,
            split=case.split or Split.TRAIN,
            pairs=recipe.pairs_per_real,
            make=partial(_prepared, case, models, wanted),
        )


def _prepared(case: Case, models: Models, wanted: ClassifierInput) -> Prepared:
    try:
        return prepare(case, models, wanted)
    except PipelineError as exc:
        raise PipelineError(f"{case.place}: {exc}") from exc


def _painted(folder: Path, lungs: Lungs, seed: int) -> Iterator[tuple[str, str, int, str]]:
    """Paint and save the cases of one pair of lungs; yields their rows."""
    canvas = lungs.make()
    depth_mm = depth_of(canvas)
    for pair in range(lungs.pairs):
        for positive in (True, False):
            rng = np.random.default_rng([seed, lungs.seed, pair, positive])
            shared = np.random.default_rng([seed, lungs.seed, pair, TWIN_CHANCE])
            view = view_of(canvas, depth_mm)
            if shared.random() < TWIN_SHARE:
                kind = paint_twin(view, rng, shared, positive=positive)
            else:
                kind = paint_case(view, rng, positive=positive)
            if lungs.split is not Split.TRAIN:  # training scans it anew at every step
                view.hu = acquire(view.hu, view.spacing_mm, view.lungs, rng)
            case = replace(
                canvas,
                hu=np.clip(np.rint(view.hu), -1024, 3071).astype(np.int16),
                lungs=view.lungs >= 0.5,
                lesions=view.lesions >= 0.5,
                lesions_known=True,
                label=int(positive),
                kind=kind,
            )
            name = f"{lungs.name}-{pair:03d}-{'positive' if positive else 'negative'}{SUFFIX}"
            save(folder / name, case)
            yield name, lungs.patient, int(positive), lungs.split
