"""Turn the authors' published checkpoints into a model folder that the node can use."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import Tensor

from pipeline.atomic_write import write_whole
from pipeline.errors import ModelError
from pipeline.model.checkpoints import DECOVNET, UNETS, Layout, Statistics, read_checkpoint
from pipeline.model.complexity import parameters
from pipeline.model.loading import Models, device_for, load, write_network
from pipeline.model.manifest import DEFAULT_POINT, MANIFEST, Manifest
from pipeline.model.published_card import authors_card

PUBLISHED_WINDOW_HU = (-1200, 600)  #: HU; that of the authors' code, for both networks
#: What each network saw (Wang et al. 2020): whole slices; the box of the lungs without a margin.
INPUTS: Mapping[str, Mapping[str, Any]] = {
    "lungs": {"size": 368, "window_hu": PUBLISHED_WINDOW_HU},
    "classifier": {
        "rows": 224,
        "columns": 336,
        "slice_mm": 1.0,
        "window_hu": PUBLISHED_WINDOW_HU,
        "margin_mm": 0.0,
    },
}
PAPER_POINT = {"threshold": 0.5, "from": "as the paper used; not calibrated here"}
VERSION = "1"  #: of the imported folder: the authors gave their files none


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """One network of the folder to be: its manifest entry without the file, and its weights."""

    entry: Mapping[str, Any]
    state: Mapping[str, Tensor]


def import_checkpoints(
    out: Path,
    *,
    unet: Path | None = None,
    decovnet: Path | None = None,
    base: Path | None = None,
    statistics: Statistics = "slice",
) -> Manifest:
    """Write a model folder out of one or both checkpoints.

    Parameters
    ----------
    out
        New or empty.
    unet, decovnet
        The authors' files. If one is left out, ``base`` gives that network.
    base
        A model folder. With its classifier come its calibration and operating points.
    statistics
        Of the UNet's batch norms: each slice's own, as the authors ran their test, or those
        gathered in training, as they validated it.

    Raises
    ------
    ModelError
        If the choice of files is no model, ``out`` is in use, or a file is not what it should be.
        Nothing is written then.
    """
    given = {"lungs": unet, "classifier": decovnet}
    files = {name: file for name, file in given.items() if file}
    _check(out, files, base)
    layouts = {"lungs": UNETS[statistics], "classifier": DECOVNET}
    parts = {name: _imported(file, layouts[name], INPUTS[name]) for name, file in files.items()}
    known = load(base, device_for("cpu")) if base else None
    if known:
        parts = _parts_of(known) | parts
    _write(out, _head(out, files, base, known.manifest if known else None), parts)
    return load(out, device_for("cpu")).manifest


def _check(out: Path, files: Mapping[str, Path], base: Path | None) -> None:
    """Refuse what cannot become one model, before anything is read."""
    if not files:
        raise ModelError("expected a checkpoint of the UNet, of the classifier or both, got none")
    if len(files) == 1 and base is None:
        raise ModelError(
            f"expected a model folder as base, which gives the other network: only the"
            f" checkpoint of the {next(iter(files))} was given"
        )
    if len(files) == 2 and base is not None:
        raise ModelError("expected both checkpoints or a base, got all three")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ModelError(f"expected a new or empty folder, got {out}")


def _imported(file: Path, layout: Layout, seen: Mapping[str, Any]) -> Part:
    """One network out of its checkpoint."""
    state = read_checkpoint(file, layout)
    count = parameters(layout.build())
    entry = {"architecture": layout.architecture, "parameters": count, "input": seen}
    return Part(entry=entry, state=state)


def _parts_of(models: Models) -> dict[str, Part]:
    """Both networks of a model folder."""
    networks = models.manifest.networks
    return {
        name: Part(entry=entry.model_dump(mode="json"), state=network.state_dict())
        for name, entry, network in (
            ("lungs", networks.lungs, models.lungs),
            ("classifier", networks.classifier, models.classifier),
        )
    }


def _head(
    out: Path, files: Mapping[str, Path], base: Path | None, known: Manifest | None
) -> dict[str, Any]:
    """Manifest without networks; calibration and operating points go with the classifier."""
    head: dict[str, Any] = {"calibration": {"temperature": 1.0}}
    head["operating_points"] = {DEFAULT_POINT: PAPER_POINT}
    if base and "classifier" not in files:
        head = json.loads((base / MANIFEST).read_bytes())
    digests = {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()}
    return head | {
        "name": out.resolve().name,
        "version": VERSION,
        "created": datetime.now(UTC).date().isoformat(),
        "networks": {},
        "card": authors_card(digests, known),
    }


def _write(out: Path, head: Mapping[str, Any], parts: Mapping[str, Part]) -> None:
    """Write the folder: manifest first, then each network into it."""
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / MANIFEST, json.dumps(head).encode())
    for name, part in parts.items():
        entry = {**part.entry, "file": f"{name}.safetensors"}
        write_network(out, name, part.state, entry)
