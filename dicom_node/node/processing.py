"""The side of a running node that analyses series and delivers results."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from config.settings import Settings
from dicom_node.analysis.dispatcher import AnalysisDispatcher
from dicom_node.analysis.engine.compute_engine import ComputeEngine
from dicom_node.analysis.prior_fetch import PriorFetcher
from dicom_node.analysis.rerun import start_requested_reruns
from dicom_node.assembly.analysis import dispatcher_of, prior_fetchers_of, request_builder_of
from dicom_node.assembly.closing import closing_policy_of
from dicom_node.assembly.delivery import delivery_workers_of
from dicom_node.assembly.maintenance import retention_of
from dicom_node.clock_watch import ClockWatch
from dicom_node.closing.series_closer import Observer, SeriesCloser
from dicom_node.closing.waits_log import log_waits
from dicom_node.delivery.worker import DeliveryWorker
from dicom_node.maintenance.consistency import ConsistencyMonitor, folder_is_away
from dicom_node.node.deadlines import ENGINE_SECONDS, time_left, wait_within
from dicom_node.resources import Resources
from dicom_node.supervision.scheduler import Scheduler
from dicom_node.supervision.supervisor import Supervisor
from storage.series.notifications import forget_old

MAINTENANCE_SECONDS = 3600.0  #: between two rounds of retention and consistency check
PRIOR_FETCH_SECONDS = 10.0  #: between two looks at what is to be searched for in archives
WAITS_SECONDS = 4 * 3600.0  #: between two lines of the log about what waiting costs
GRACE_SECONDS = 0.05  #: beyond the time at which a series is to be closed
FOLDER_SECONDS = 5.0  #: between two looks at whether the storage folder can be worked with
TEND_SECONDS = 1.0  #: between two looks at the engine and its workers


@dataclass(frozen=True, slots=True, kw_only=True)
class Processing:
    """The side of a running node that analyses series and delivers results.

    Attributes
    ----------
    prior_fetchers
        One if an archive is to be asked for prior studies, else none.
    """

    scheduler: Scheduler
    engine: ComputeEngine
    dispatcher: AnalysisDispatcher
    delivery_workers: tuple[DeliveryWorker, ...]
    prior_fetchers: tuple[PriorFetcher, ...]

    def retire(self) -> None:
        """Begin no analysis, and nothing further to any destination."""
        self.scheduler.remove("analyse")
        for worker in self.delivery_workers:
            worker.stop()
        for fetcher in self.prior_fetchers:
            fetcher.stop()

    def stop(self, deadline: float) -> None:
        """Let what runs come to its end, until a deadline (monotonic, seconds)."""
        of_jobs = deadline - ENGINE_SECONDS
        self.dispatcher.wait_until_idle(seconds=time_left(of_jobs))
        self.scheduler.stop(seconds=time_left(of_jobs))
        wait_within(deadline, self.engine.close)


def start_processing(
    settings: Settings,
    resources: Resources,
    scheduler: Scheduler,
    supervisor: Supervisor,
    engine: ComputeEngine,
    observer: Observer,
) -> Processing:
    """Start the scheduler with every job of the node, the tending of the engine among them.

    Parameters
    ----------
    observer
        Knows of series that are being received what is not in the database.
    """
    workers = delivery_workers_of(settings, resources)
    jobs = ("analyse", *map(_job, workers))
    requests = request_builder_of(settings, resources)
    processing = Processing(
        scheduler=scheduler,
        engine=engine,
        dispatcher=dispatcher_of(
            settings,
            resources,
            requests,
            engine,
            executor=partial(scheduler.once, "settle"),
            wake=partial(scheduler.wake, *jobs),
        ),
        delivery_workers=workers,
        prior_fetchers=prior_fetchers_of(settings, resources, requests),
    )
    _schedule(processing, settings, resources, observer)
    scheduler.start()
    supervisor.watch("scheduler", scheduler)
    supervisor.observe("jobs", scheduler.look)
    supervisor.observe("clock", ClockWatch(scheduler.wake_all).poll)
    return processing


def _schedule(
    processing: Processing, settings: Settings, resources: Resources, observer: Observer
) -> None:
    """Enter every job, with the time between two of its runs."""
    every, closing, delivery = processing.scheduler.every, settings.closing, settings.delivery
    wake = partial(processing.scheduler.wake, "analyse")
    closer = SeriesCloser(resources, closing_policy_of(settings), observer, wake=wake)

    def close() -> None:
        """Close what is complete; look again as soon as that can be of use."""
        wait = closer.run_once()
        if wait < closing.check_every_seconds:
            processing.scheduler.wake_in(wait + GRACE_SECONDS, "close")

    retention, consistency = retention_of(settings, resources), ConsistencyMonitor(resources)

    def maintain() -> None:
        """Remove what may go, then compare: what is half removed is not found missing."""
        with resources.sessions.begin() as session:
            forget_old(session, resources.clock())
        if folder_is_away(resources):
            return
        retention.run_once()
        consistency.run_once()

    every(closing.check_every_seconds, "close", close)
    wishes = partial(start_requested_reruns, resources, wake)
    every(closing.check_every_seconds, "wishes", wishes, lane="close")
    every(closing.check_every_seconds, "analyse", processing.dispatcher.dispatch)
    every(FOLDER_SECONDS, "folder", partial(folder_is_away, resources))
    every(TEND_SECONDS, "engine", processing.engine.tend)
    every(MAINTENANCE_SECONDS, "house", maintain)
    every(WAITS_SECONDS, "waits", partial(log_waits, resources))
    for worker in processing.delivery_workers:
        every(delivery.check_every_seconds, _job(worker), worker.run_once)
        processing.scheduler.once(f"probe:{worker.name}", worker.probe, lane=_job(worker))
    for fetcher in processing.prior_fetchers:
        every(PRIOR_FETCH_SECONDS, "history", fetcher.run_once)


def _job(worker: DeliveryWorker) -> str:
    return f"deliver:{worker.name}"
