"""Read what both models found, and what is known of the truth, and compare them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from config.settings import Settings
from dicom_node.analysis.configuration import bounds_in_use, model_folder, model_of
from dicom_node.analysis.oversight.shadow_job import BACKLOG
from dicom_node.assembly.shadow import second_model_of
from dicom_node.console.feedback.truth import Labelled, labelled
from dicom_node.errors import NodeError
from dicom_node.shadow.comparison import Comparison, Pair, compare, pairs_of
from dicom_node.shadow.gate import Condition, GateRule, conditions
from storage.database.sessions import Session
from storage.results.answers import answers_to, assessed_results
from storage.results.shadow import ShadowPair, count_waiting, shadow_pairs

NO_SECOND = "there is no second model: [shadow] model names its folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowOverview:
    """How the second model compares.

    Attributes
    ----------
    first, second
        Name and version.
    second_sha256
        Of the manifest.
    waiting
        Series that it may still analyse.
    is_passed
        Whether every condition is met.
    pairs
        One of each series, in the order of analysis.
    """

    first: str
    second: str
    second_sha256: str
    waiting: int
    is_passed: bool
    conditions: tuple[Condition, ...]
    comparison: Comparison
    pairs: tuple[Pair, ...]


def shadow_overview(
    settings: Settings, session: Session, since: datetime, now: datetime
) -> ShadowOverview:
    """Compare the second model with the one in use, by what was found since a time.

    Raises
    ------
    NodeError
        If there is no second model.
    pipeline.errors.ModelError
        If there is no model in use.
    """
    model, second = model_of(settings), second_model_of(settings)
    if second is None:
        raise NodeError(NO_SECOND)
    first = f"{model.name} {model.version}"
    found = shadow_pairs(session, first, second.sha256, since)
    truth = _truth(session, found, first)
    pairs = pairs_of(
        found,
        truth,
        first=bounds_in_use(settings, model_folder(settings)),
        second=bounds_in_use(settings, second.folder),
    )
    comparison = compare(pairs, truth)
    judged = conditions(comparison, gate_rule_of(settings))
    return ShadowOverview(
        first=first,
        second=f"{second.name} {second.version}",
        second_sha256=second.sha256,
        waiting=count_waiting(session, second.sha256, now - BACKLOG),
        is_passed=all(one.is_met for one in judged),
        conditions=judged,
        comparison=comparison,
        pairs=tuple(pair for _, pair in pairs.values()),
    )


def gate_rule_of(settings: Settings) -> GateRule:
    """Say what a second model has to show."""
    wanted = settings.shadow
    return GateRule(
        least_patients=wanted.least_patients,
        least_labelled=wanted.least_labelled,
        auc_margin=wanted.auc_margin,
        most_changed=wanted.most_changed_percent / 100,
        most_failed=wanted.most_failed_percent / 100,
    )


def _truth(session: Session, found: list[ShadowPair], model: str) -> Mapping[str, Labelled]:
    """Give what is known of the truth of series, by their UIDs."""
    answers = answers_to(session, [one.series_instance_uid for one in found])
    results = assessed_results(session, {one.result_key for one in answers} - {""})
    return {one.series_instance_uid: one for one in labelled(answers, results, model=model)}
