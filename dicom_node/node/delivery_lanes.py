"""Give each enabled destination a delivery worker in a lane of its own, as the settings change."""

from __future__ import annotations

import threading
from collections.abc import Callable

from config.settings import Settings
from dicom_node.assembly.delivery import delivery_worker_of, route_of
from dicom_node.delivery.worker import DeliveryWorker
from dicom_node.resources import Resources
from dicom_node.supervision.scheduler import Scheduler


class DeliveryLanes:
    """The delivery workers of all destinations.

    A destination that is removed, or not enabled any more, keeps its worker, stopped: it puts back
    what it has claimed, and goes on if the destination returns.
    """

    def __init__(self, settings: Settings, resources: Resources, scheduler: Scheduler) -> None:
        self._resources, self._scheduler = resources, scheduler
        self._check_seconds = settings.delivery.check_every_seconds
        self._lock = threading.Lock()
        self._workers: dict[str, DeliveryWorker] = {}
        self._made_of: dict[str, object] = {}  #: settings of each worker that delivers
        self._ended = False

    def prepared(self, settings: Settings) -> Callable[[], None]:
        """Make the routes that settings describe; return what takes them up, and cannot fail.

        Raises
        ------
        NodeError
            If a destination is called by TLS, and there are no files for that.
        """
        described = {
            destination.name: (destination, settings.delivery, settings.analysis.switch)
            for destination in settings.destinations
            if destination.enabled
        }
        routes = {
            name: route_of(settings, described[name][0], self._resources)
            for name in described
            if self._made_of.get(name) != described[name]
        }

        def take_up() -> None:
            with self._lock:
                if self._ended:
                    return
                for name in self._made_of.keys() - described.keys():
                    self._workers[name].stop()
                for name, route in routes.items():
                    if name in self._workers:
                        self._workers[name].take(route)
                    else:
                        worker = delivery_worker_of(name, route, self._resources)
                        self._workers[name] = worker
                        self._scheduler.every(self._check_seconds, _job(name), worker.run_once)
                    self._scheduler.once(
                        f"probe:{name}", self._workers[name].probe, lane=_job(name)
                    )
                self._made_of = dict(described)

        return take_up

    @property
    def names(self) -> tuple[str, ...]:
        """Destinations that are delivered to."""
        return tuple(self._made_of)

    def wake(self) -> None:
        """Have all workers look at once for what is due."""
        self._scheduler.wake(*map(_job, tuple(self._workers)))

    def stop(self) -> None:
        """Send nothing further to any destination, whatever the settings say from now on."""
        with self._lock:
            self._ended = True
            for worker in self._workers.values():
                worker.stop()


def _job(name: str) -> str:
    return f"deliver:{name}"
