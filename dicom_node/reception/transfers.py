"""Know which associations have sent instances of a series, and whether one of them is open."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from weakref import WeakSet

from dicom_node.network.received_instance import Transfer
from storage.series.instance_facts import InstanceFacts

MAXIMUM_SERIES = 2_000  #: that are remembered, those with the latest instances


@dataclass(slots=True)
class _Received:
    count: int = 0
    associations: WeakSet[Transfer] = field(default_factory=WeakSet)


class Transfers:
    """Remembers, for each series that is being received, who has sent it; for any thread.

    Attributes
    ----------
    when_begun
        Called with the first instance of a series that is not remembered; must not wait.
    """

    def __init__(self) -> None:
        self.when_begun: Callable[[InstanceFacts], object] = id
        self._lock = threading.Lock()
        self._series: OrderedDict[str, _Received] = OrderedDict()

    def note(self, instance: InstanceFacts, association: Transfer | None) -> None:
        """Note an instance that was received by an association, or without one."""
        uid = instance.series_instance_uid
        with self._lock:
            is_first = uid not in self._series
            received = self._series.setdefault(uid, _Received())
            self._series.move_to_end(uid)
            received.count += 1
            if association is not None:
                received.associations.add(association)
            while len(self._series) > MAXIMUM_SERIES:
                self._series.popitem(last=False)
        if is_first:
            self.when_begun(instance)

    def is_open(self, series_instance_uid: str) -> bool:
        """Tell whether an association that has sent an instance of the series is open."""
        with self._lock:
            received = self._series.get(series_instance_uid)
            associations = list(received.associations) if received else []
        return _is_any_open(associations)

    def sending(self) -> list[str]:
        """List the series of which an open association has sent some."""
        with self._lock:
            remembered = {uid: list(one.associations) for uid, one in self._series.items()}
        return [uid for uid, associations in remembered.items() if _is_any_open(associations)]

    def received(self, series_instance_uid: str) -> int:
        """Count the instances of a series that came since it is remembered, repeated ones too."""
        with self._lock:
            received = self._series.get(series_instance_uid)
            return received.count if received else 0


def _is_any_open(associations: Iterable[Transfer]) -> bool:
    return any(one.is_established and one.is_alive() for one in associations)
