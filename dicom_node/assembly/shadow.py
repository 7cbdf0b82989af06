"""Make what has a second model analyse beside the one in use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from config.settings import Settings
from dicom_node.analysis.configuration import reference_of
from dicom_node.analysis.oversight.shadow_job import ShadowJob, ShadowRules
from dicom_node.analysis.worker.messages import AnalysisConfig, ModelReference
from dicom_node.audit.decisions import Decided
from dicom_node.errors import NodeError
from dicom_node.resources import Resources
from pipeline.errors import ModelError


def shadow_rules_of(settings: Settings, config: AnalysisConfig) -> ShadowRules | None:
    """Say what is analysed by a second model, and how; None if there is none.

    Parameters
    ----------
    config
        Of the analyses by the model in use.

    Raises
    ------
    NodeError
        If there is no model in its folder, or it is the one in use.
    """
    second = second_model_of(settings)
    if second is None:
        return None
    if second.sha256 == config.model.sha256:
        raise NodeError(
            "[shadow] model: expected another model than the one in use, got the same:"
            f" {second.name} {second.version}"
        )
    return ShadowRules(
        config=replace(config, model=second),
        first=config.model,
        task_timeout_seconds=settings.engine.task_timeout_seconds,
    )


def second_model_of(settings: Settings) -> ModelReference | None:
    """Name the second model that the settings choose; None if they choose none.

    Raises
    ------
    NodeError
        If there is no model in its folder.
    """
    if settings.shadow.model is None:
        return None
    try:
        return reference_of(settings.shadow.model)
    except ModelError as fault:
        raise NodeError(f"[shadow] model: {fault}") from fault


def prepared(
    job: ShadowJob, resources: Resources, settings: Settings, config: AnalysisConfig
) -> Callable[[], None]:
    """Make what follows from settings; return what takes it up, and cannot fail.

    A second model that cannot be used hinders nothing: it is a fault, and none analyses.
    """
    rules, fault = None, ""
    try:
        rules = shadow_rules_of(settings, config)
    except NodeError as unusable:
        fault = str(unusable)

    def take_up() -> None:
        before = job.rules.config.model if job.rules else None
        job.take(rules, fault)
        now = rules.config.model if rules else None
        if now != before:
            resources.decisions.record(Decided.SHADOW, facts_of(now))

    return take_up


def facts_of(model: ModelReference | None) -> dict[str, object]:
    """Say which second model analyses from now on."""
    if model is None:
        return {"model": None}
    return {"model": f"{model.name} {model.version}", "manifest_sha256": model.sha256}
