"""Make what has series analysed, and what fetches prior studies for them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from config.destinations import DicomDestination, ObjectDestination
from config.settings import Settings
from dicom_node.analysis.configuration import analysis_config_of
from dicom_node.analysis.consequences import AttemptPolicy
from dicom_node.analysis.dispatcher import AnalysisDispatcher, DispatchRules
from dicom_node.analysis.not_analysed_notices import Notices
from dicom_node.analysis.outcome_writer import OutcomeWriter
from dicom_node.analysis.oversight.permission import Oversight
from dicom_node.analysis.prior_fetch import PriorFetcher
from dicom_node.analysis.request_builder import RequestBuilder
from dicom_node.analysis.worker.messages import ModelReference
from dicom_node.analysis.workers import Executor, Workers
from dicom_node.assembly.delivery import peer_of, receivers_of
from dicom_node.resources import Resources


def prior_fetchers_of(
    settings: Settings, resources: Resources, request_builder: RequestBuilder
) -> tuple[PriorFetcher, ...]:
    """Make what fetches prior studies from archives; empty if none is to be asked."""
    archives = [
        destination
        for destination in settings.destinations
        if isinstance(destination, DicomDestination)
        and destination.enabled
        and destination.earlier_studies
    ]
    if not (archives and settings.results.priors):
        return ()
    fetcher = PriorFetcher(
        resources,
        [peer_of(settings, archive) for archive in archives],
        request_builder,
        ae_title=settings.node.ae_title,
        min_slices=settings.selection.min_slices,
    )
    return (fetcher,)


def dispatcher_of(
    rules: DispatchRules,
    resources: Resources,
    workers: Workers,
    *,
    executor: Executor,
    wake: Callable[[], None],
) -> AnalysisDispatcher:
    """Make the dispatcher of analyses.

    Parameters
    ----------
    executor, wake
        As :class:`AnalysisDispatcher` takes them.
    """
    return AnalysisDispatcher(
        resources=resources,
        workers=workers,
        request_builder=rules.request_builder,
        notices=rules.notices,
        policy=rules.policy,
        outcomes=rules.outcomes,
        oversight=rules.oversight,
        executor=executor,
        wake=wake,
    )


def dispatch_rules_of(
    settings: Settings, resources: Resources, request_builder: RequestBuilder
) -> DispatchRules:
    """Say by which rules series are analysed."""
    return DispatchRules(
        request_builder=request_builder,
        notices=Notices(resources.folder, request_builder, settings.results.not_analysed),
        policy=AttemptPolicy(
            attempts=settings.engine.attempts,
            task_timeout_seconds=settings.engine.task_timeout_seconds,
            first_wait=timedelta(seconds=settings.engine.retry_first_seconds),
            urgent_aes=frozenset(settings.analysis.urgent_aes),
        ),
        outcomes=OutcomeWriter(resources, receivers_of(settings), settings.drift.action),
        oversight=Oversight(switch=settings.analysis.switch, expires=settings.analysis.expires),
    )


def request_builder_of(
    settings: Settings,
    resources: Resources,
    *,
    model: ModelReference | None = None,
    quiet: bool = False,
) -> RequestBuilder:
    """Make the builder of requests for workers; a quiet one logs nothing.

    Parameters
    ----------
    model
        The one that a running node has; None reads which one the settings choose.
    """
    return RequestBuilder(
        resources,
        analysis_config_of(settings, model),
        compare=settings.results.priors,
        destinations=receivers_of(settings),
        rejecting=[
            destination.name
            for destination in settings.destinations
            if isinstance(destination, ObjectDestination)
            and destination.enabled
            and destination.rejection_notes
        ],
        quiet=quiet,
    )
