"""The side of a running node that analyses series and delivers results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from config.settings import Settings
from dicom_node.analysis.dispatcher import AnalysisDispatcher
from dicom_node.analysis.engine.compute_engine import ComputeEngine
from dicom_node.analysis.oversight.shadow_job import ShadowJob
from dicom_node.analysis.prior_fetch import PriorFetcher
from dicom_node.analysis.rerun import start_requested_reruns
from dicom_node.assembly.analysis import (
    dispatch_rules_of,
    dispatcher_of,
    prior_fetchers_of,
    request_builder_of,
)
from dicom_node.assembly.closing import closing_policy_of
from dicom_node.assembly.maintenance import retention_of
from dicom_node.assembly.notify import notify_job_of
from dicom_node.assembly.shadow import prepared as shadow_prepared
from dicom_node.assembly.worklist import retrievals_of, worklist_job_of
from dicom_node.clock_watch import ClockWatch
from dicom_node.closing.series_closer import Observer, SeriesCloser
from dicom_node.closing.waits_log import log_waits
from dicom_node.errors import NodeError
from dicom_node.maintenance.confirmed_clock import ConfirmedClock
from dicom_node.maintenance.consistency import ConsistencyMonitor, folder_is_away
from dicom_node.maintenance.retention import RetentionJob
from dicom_node.node.deadlines import time_left
from dicom_node.node.delivery_lanes import DeliveryLanes
from dicom_node.resources import Resources
from dicom_node.supervision.scheduler import Scheduler
from dicom_node.supervision.supervisor import Supervisor
from dicom_node.worklist.job import WorklistJob
from storage.delivery.work_items import forget_ended
from storage.files.folder_fault import storage_fault
from storage.series.lifecycle import OpenSeries
from storage.series.notifications import forget_old

MAINTENANCE_SECONDS = 3600.0  #: between two rounds of retention and consistency check
PRIOR_FETCH_SECONDS = 10.0  #: between two looks at what is to be searched for in archives
WAITS_SECONDS = 4 * 3600.0  #: between two lines of the log about what waiting costs
GRACE_SECONDS = 0.05  #: beyond the time at which a series is to be closed
SHADOW_SECONDS = 5.0  #: between two looks at what a second model may analyse
NOTIFY_SECONDS = 15.0  #: between two looks at what is to be told
WORKLIST_SECONDS = 2.0  #: between two looks at what the worklist manager is to be told
TEND_SECONDS = 1.0  #: between two looks at the engine and its workers


@dataclass(slots=True, kw_only=True)
class Processing:
    """The side of a running node that analyses series and delivers results.

    Attributes
    ----------
    prior_fetchers
        One if an archive is to be asked for prior studies, else none.
    worklist
        Performs work items, if there is a manager.
    """

    resources: Resources
    scheduler: Scheduler
    engine: ComputeEngine
    dispatcher: AnalysisDispatcher
    lanes: DeliveryLanes
    closer: SeriesCloser
    retention: RetentionJob
    consistency: ConsistencyMonitor
    prior_fetchers: tuple[PriorFetcher, ...]
    shadow: ShadowJob
    worklist: WorklistJob | None

    def prepared(self, settings: Settings) -> Callable[[], None]:
        """Make what follows from settings; return what takes it up, and cannot fail.

        The model stays the one that the node has.

        Raises
        ------
        NodeError
            If files of TLS are missing, or the storage folder is away.
        """
        if away := storage_fault(self.resources.folder):
            raise NodeError(away)
        model = self.dispatcher.request_builder.config.model
        requests = request_builder_of(settings, self.resources, model=model)
        rules = dispatch_rules_of(settings, self.resources, requests)
        fetchers = prior_fetchers_of(settings, self.resources, requests)
        retention = retention_of(settings, self.resources, self.retention.clock)
        policy = closing_policy_of(settings)
        take_up_lanes = self.lanes.prepared(settings)
        take_up_shadow = shadow_prepared(self.shadow, self.resources, settings, requests.config)
        retrievals = retrievals_of(settings)

        def take_up() -> None:
            self.dispatcher.take(rules)
            take_up_shadow()
            before, self.prior_fetchers = self.prior_fetchers, fetchers
            for fetcher in before:
                fetcher.stop()
            self.retention = retention
            self.closer.take(policy)
            take_up_lanes()
            if self.worklist is not None:
                self.worklist.take(retrievals)

        return take_up

    def fetch_priors(self) -> None:
        """Look at what is to be searched for in archives."""
        for fetcher in self.prior_fetchers:
            fetcher.run_once()

    def retire(self) -> None:
        """Begin no analysis, and nothing further to any destination, whatever the settings say."""
        self.scheduler.remove("settings")
        self.scheduler.remove("analyse")
        self.shadow.retire()
        self.lanes.stop()
        self.scheduler.remove("house")
        self.consistency.stop()
        for fetcher in self.prior_fetchers:
            fetcher.stop()
        self.scheduler.remove("worklist")
        if self.worklist is not None:
            self.worklist.stop()

    def stop(self, deadline: float) -> None:
        """Let what is analysed come to its end, until a deadline (monotonic, seconds)."""
        self.dispatcher.wait_until_idle(seconds=time_left(deadline))
        self.scheduler.remove("shadow")


def start_processing(
    settings: Settings,
    resources: Resources,
    scheduler: Scheduler,
    supervisor: Supervisor,
    engine: ComputeEngine,
    observer: Observer,
) -> Processing:
    """Enter every job of the active side, the tending of the engine among them.

    Parameters
    ----------
    observer
        Knows of series that are being received what is not in the database.
    """
    lanes = DeliveryLanes(settings, resources, scheduler)

    def wake() -> None:
        scheduler.wake("analyse")
        lanes.wake()

    requests = request_builder_of(settings, resources)
    dispatcher = dispatcher_of(
        dispatch_rules_of(settings, resources, requests),
        resources,
        engine,
        executor=partial(scheduler.once, "settle"),
        wake=wake,
    )

    def expect(series: OpenSeries) -> None:
        dispatcher.expect(series)
        scheduler.wake("analyse")

    shadow = ShadowJob(
        resources,
        engine,
        is_idle=lambda: dispatcher.is_idle,
        executor=partial(scheduler.once, "shadow-stop"),
        wake=partial(scheduler.wake, "shadow"),
    )
    shadow_prepared(shadow, resources, settings, requests.config)()
    dispatcher.make_way = shadow.make_way
    processing = Processing(
        resources=resources,
        scheduler=scheduler,
        engine=engine,
        dispatcher=dispatcher,
        lanes=lanes,
        closer=SeriesCloser(
            resources,
            closing_policy_of(settings),
            observer,
            wake=partial(scheduler.wake, "analyse"),
            expect=expect,
        ),
        retention=retention_of(settings, resources, ConfirmedClock(resources.clock)),
        consistency=ConsistencyMonitor(resources),
        prior_fetchers=prior_fetchers_of(settings, resources, requests),
        shadow=shadow,
        worklist=worklist_job_of(settings, resources, partial(scheduler.wake, "close")),
    )
    resources.health.workers = processing.dispatcher.loads
    _schedule(processing, settings)
    if notify := notify_job_of(
        settings, resources, lambda: lanes.names, lambda: not dispatcher.permission.delivers
    ):
        scheduler.every(NOTIFY_SECONDS, "notify", notify.run_once)
    if processing.worklist is not None:
        scheduler.every(WORKLIST_SECONDS, "worklist", processing.worklist.run_once)
    lanes.prepared(settings)()
    supervisor.observe("clock", ClockWatch(scheduler.wake_all).poll)
    return processing


def _schedule(processing: Processing, settings: Settings) -> None:
    """Enter every job, with the time between two of its runs."""
    every, resources = processing.scheduler.every, processing.resources
    check_seconds = settings.closing.check_every_seconds

    def close() -> None:
        """Close what is complete; look again as soon as that can be of use."""
        wait = processing.closer.run_once()
        if wait < check_seconds:
            processing.scheduler.wake_in(wait + GRACE_SECONDS, "close")

    def maintain() -> None:
        """Remove what may go, then compare: what is half removed is not found missing."""
        with resources.sessions.begin() as session:
            forget_old(session, resources.clock())
            forget_ended(session, resources.clock())
        if folder_is_away(resources):
            return
        processing.retention.run_once()
        processing.consistency.run_once()

    every(check_seconds, "close", close)
    wishes = partial(
        start_requested_reruns, resources, partial(processing.scheduler.wake, "analyse")
    )
    every(check_seconds, "wishes", wishes, lane="close")
    every(check_seconds, "analyse", processing.dispatcher.dispatch)
    every(SHADOW_SECONDS, "shadow", processing.shadow.run_once, lane="analyse")
    every(TEND_SECONDS, "engine", processing.engine.tend)
    every(MAINTENANCE_SECONDS, "house", maintain)
    every(WAITS_SECONDS, "waits", partial(log_waits, resources))
    every(PRIOR_FETCH_SECONDS, "history", processing.fetch_priors)
