"""Say of each model that has made results: which one, when, with which thresholds, and its card.

The manifest of a model is kept in the storage folder when a node starts with it, under its SHA-256,
which the log of decisions names: the card of a model that is not installed any more is there still.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from dicom_node.audit.decisions import Decided
from dicom_node.governance.result_records import Record
from pipeline.atomic_write import write_whole
from pipeline.errors import ModelError
from pipeline.model.manifest import BUNDLED, MANIFEST, Manifest, parse_manifest, read_manifest
from storage.files.decision_log import Decision

MODELS = "models"  #: folder of manifests, in the storage folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Months:
    """Number of results, and the months of the first and the latest, YYYY-MM."""

    results: int
    first: str
    latest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedModel:
    """A model that has made results here, or with which a node has started.

    Attributes
    ----------
    model
        Name and version, a space between.
    manifest_sha256
        Of its manifest, which names the digests of its weights; empty where no result says it.
    in_use
        By the settings, now.
    started
        When a node first started with it; None if the log of decisions does not go back as far.
    ended
        When a node first started with another one after that; None while none has.
    made
        Results that it has made; None if it has made none.
    erased
        Of these, how many belonged to series that were erased, or forgotten.
    thresholds
        Results and months by the threshold above which they were called positive.
    card
        What it was made of and is for; None where its manifest is not at hand.
    """

    model: str
    manifest_sha256: str
    in_use: bool
    started: datetime | None
    ended: datetime | None
    made: Months | None
    erased: int
    thresholds: Mapping[str, Months]
    card: Mapping[str, Any] | None


@dataclass(slots=True)
class _Use:
    """What was seen of one model so far."""

    started: datetime | None = None
    ended: datetime | None = None
    erased: int = 0
    months: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Number of results by threshold and month."""


def inventory(
    records: Iterable[Record],
    decisions: Iterable[Decision],
    manifests: Mapping[str, Manifest],
    in_use: str,
) -> list[UsedModel]:
    """List the models, those that were used first first.

    Parameters
    ----------
    records
        Of all results.
    manifests
        Those at hand, by their SHA-256.
    in_use
        SHA-256 of the manifest that the settings choose.
    """
    uses: dict[tuple[str, str], _Use] = {}
    _start(uses, decisions)
    for record in records:
        said = record["result"]
        use = uses.setdefault((said["model"], said["manifest_sha256"] or ""), _Use())
        use.months[_threshold(said["threshold"]), said["month"]] += 1
        use.erased += bool(record["study"]["erased"])
    if in_use not in {digest for _, digest in uses}:
        uses[_name(manifests[in_use]), in_use] = _Use()
    found = [
        _used(name, digest, use, manifests.get(digest), is_in_use=digest == in_use)
        for (name, digest), use in uses.items()
    ]
    return sorted(found, key=lambda one: (one.made.first if one.made else "9", one.model))


def _start(uses: dict[tuple[str, str], _Use], decisions: Iterable[Decision]) -> None:
    """Enter from when to when nodes have worked with each model."""
    latest: tuple[str, str] | None = None
    for decision in decisions:
        if decision.what != Decided.STARTED:
            continue
        now = (str(decision.facts.get("model", "")), str(decision.facts.get("manifest_sha256", "")))
        use = uses.setdefault(now, _Use())
        use.started = use.started or decision.at
        use.ended = None
        if latest is not None and latest != now:
            uses[latest].ended = decision.at
        latest = now


def _used(
    name: str, digest: str, use: _Use, manifest: Manifest | None, *, is_in_use: bool
) -> UsedModel:
    by_threshold: dict[str, Counter[str]] = {}
    for (threshold, month), count in sorted(use.months.items()):
        by_threshold.setdefault(threshold, Counter())[month] += count
    return UsedModel(
        model=name,
        manifest_sha256=digest,
        in_use=is_in_use,
        started=use.started,
        ended=use.ended,
        made=_months(sum(by_threshold.values(), Counter())),
        erased=use.erased,
        thresholds={
            threshold: found
            for threshold, counts in by_threshold.items()
            if (found := _months(counts)) is not None
        },
        card=None if manifest is None else _card(manifest),
    )


def _threshold(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float | int) else ""


def _months(counts: Mapping[str, int]) -> Months | None:
    if not counts:
        return None
    return Months(results=sum(counts.values()), first=min(counts), latest=max(counts))


def _card(manifest: Manifest) -> dict[str, Any]:
    """Give what a reader of the inventory asks of a model."""
    whole = manifest.model_dump(mode="json", by_alias=True)
    names = (
        *("created", "networks", "calibration", "operating_points"),
        *("conformal", "scanner_groups", "card"),
    )
    return {name: whole[name] for name in names}


def _name(manifest: Manifest) -> str:
    return f"{manifest.name} {manifest.version}"


def keep_manifest(root: Path, folder: Path, sha256: str) -> None:
    """Keep the manifest of a model in the storage folder, unless it is there.

    Raises
    ------
    OSError
        If it cannot be read or written.
    """
    kept = root / MODELS / f"{sha256}.json"
    if not kept.is_file():
        kept.parent.mkdir(mode=0o700, exist_ok=True)
        write_whole(kept, (folder / MANIFEST).read_bytes())


def manifests_at_hand(root: Path, chosen: Path) -> dict[str, Manifest]:
    """Read the manifests of the models that were kept, that are bundled, and that is chosen.

    Parameters
    ----------
    root
        The storage folder.
    chosen
        Folder of the model that the settings choose.

    Raises
    ------
    ModelError
        If that one cannot be read; what is damaged of the others is left out.
    """
    manifest, sha256 = read_manifest(chosen)
    return dict(_readable(root)) | {sha256: manifest}


def _readable(root: Path) -> Iterator[tuple[str, Manifest]]:
    for kept in sorted((root / MODELS).glob("*.json")):
        try:
            raw = kept.read_bytes()
            if hashlib.sha256(raw).hexdigest() == kept.stem:  # else it was changed
                yield kept.stem, parse_manifest(raw)
        except (ModelError, OSError):
            continue
    for folder in sorted(BUNDLED.parent.iterdir()):
        if (folder / MANIFEST).is_file():
            manifest, sha256 = read_manifest(folder)
            yield sha256, manifest
