"""The inventory says of each model which results it made, when, and with which thresholds."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dicom_node.governance.model_inventory import (
    MODELS,
    Months,
    inventory,
    keep_manifest,
    manifests_at_hand,
)
from pipeline.model.manifest import BUNDLED, MANIFEST, read_manifest
from storage.files.decision_log import Decision

AT = datetime(2026, 3, 1, tzinfo=UTC)
MANIFEST_OURS, OURS = read_manifest(BUNDLED)
NAME = f"{MANIFEST_OURS.name} {MANIFEST_OURS.version}"
OLD = "ab" * 32


def made(model: str, sha256: str, month: str, threshold: float, *, erased: bool = False) -> Any:  # noqa: ANN401  # a part of a record
    result = {"model": model, "manifest_sha256": sha256, "month": month, "threshold": threshold}
    return {"result": result, "study": {"erased": erased}}


def started(model: str, sha256: str, days: int) -> Decision:
    facts = {"model": model, "manifest_sha256": sha256}
    return Decision(number=1, at=AT + timedelta(days=days), what="started", by="node", facts=facts)


def test_models_are_listed_in_their_order_with_thresholds_and_what_was_erased() -> None:
    found = inventory(
        [
            made("old 1", OLD, "2026-03", 0.5),
            made("old 1", OLD, "2026-04", 0.5, erased=True),
            made("old 1", OLD, "2026-04", 0.4),
            made(NAME, OURS, "2026-05", 0.44),
        ],
        [started("old 1", OLD, 0), started("old 1", OLD, 9), started(NAME, OURS, 60)],
        {OURS: MANIFEST_OURS},
        OURS,
    )

    old, new = found
    assert (old.model, old.manifest_sha256, old.in_use) == ("old 1", OLD, False)
    assert (old.started, old.ended) == (AT, AT + timedelta(days=60))
    assert old.made == Months(results=3, first="2026-03", latest="2026-04")
    assert old.erased == 1
    assert old.thresholds == {
        "0.4000": Months(results=1, first="2026-04", latest="2026-04"),
        "0.5000": Months(results=2, first="2026-03", latest="2026-04"),
    }
    assert old.card is None
    assert (new.in_use, new.started, new.ended) == (True, AT + timedelta(days=60), None)
    assert new.card is not None
    assert new.card["card"]["trained_on"]


def test_a_model_that_is_taken_up_again_is_in_use_again() -> None:
    decisions = [started("old 1", OLD, 0), started(NAME, OURS, 1), started("old 1", OLD, 2)]
    found = {one.model: one for one in inventory([], decisions, {}, OLD)}

    assert found["old 1"].ended is None
    assert found[NAME].ended == AT + timedelta(days=2)
    assert found[NAME].made is None


def test_a_model_in_use_is_listed_before_it_has_made_anything() -> None:
    (only,) = inventory([], [], {OURS: MANIFEST_OURS}, OURS)
    assert (only.model, only.in_use, only.started, only.made) == (NAME, True, None, None)


def test_the_card_of_a_model_that_was_removed_is_kept_and_a_changed_one_is_none(
    tmp_path: Path,
) -> None:
    model, root = tmp_path / "model", tmp_path / "data"
    model.mkdir()
    root.mkdir()
    text = (BUNDLED / MANIFEST).read_text().replace(MANIFEST_OURS.name, "other")
    (model / MANIFEST).write_text(text)
    _, sha256 = read_manifest(model)
    keep_manifest(root, model, sha256)
    shutil.rmtree(model)

    assert manifests_at_hand(root, BUNDLED)[sha256].name == "other"
    keep_manifest(root, model, sha256)  # nothing is read where it is there already
    kept = root / MODELS / f"{sha256}.json"
    kept.write_text(text.replace("other", "forged"))
    assert set(manifests_at_hand(root, BUNDLED)) == {OURS}
