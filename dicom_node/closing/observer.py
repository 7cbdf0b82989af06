"""Observe what is not in the database of series that are being received."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from typing import Protocol

from dicom_node.closing.archive_counts import ArchiveCounts, Question
from dicom_node.closing.decision import Counted, Ends
from dicom_node.reception.transfers import Transfers
from storage.series.lifecycle import OpenSeries

Look = Callable[[OpenSeries, Sequence[str]], bool | None]
"""Tells whether a stack begins and ends outside the lungs; None until that is known."""


class Receivers(Protocol):
    """Other receivers that share the storage folder."""

    @property
    def sending(self) -> Set[str]:
        """Series of which one of them has open associations."""
        ...

    def settle(self) -> bool:
        """Enter what those left that have ended; False while more of that may come."""
        ...


class Alone:
    """No other receivers."""

    sending: Set[str] = frozenset()

    def settle(self) -> bool:
        """Say that there is nothing to enter."""
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeObserver:
    """Brings together who knows of associations, of archives, and of what slices show.

    Attributes
    ----------
    tend_looks
        Ends the looks at slices that hang.
    receivers
        Knows of other receivers that share the storage folder.
    """

    transfers: Transfers
    counts: ArchiveCounts
    look: Look
    tend_looks: Callable[[], object] = bool
    receivers: Receivers = field(default_factory=Alone)

    def tend(self) -> None:
        """End what hangs, whether or not a series still waits for it."""
        self.tend_looks()
        self.counts.tend()

    def is_being_sent(self, series: OpenSeries) -> bool:
        """Tell whether an association that has sent some of it is still open."""
        uid = series.series_instance_uid
        return self.transfers.is_open(uid) or uid in self.receivers.sending

    def settle(self) -> bool:
        """Enter what receivers left that have ended; False while more of that may come."""
        return self.receivers.settle()

    def counted(self, series: OpenSeries) -> Counted | None:
        """Tell what an archive said of its number of instances; have it asked until it agrees.

        Nobody is asked about a series of the self-test.
        """
        if series.of_self_test:
            return None
        counted = self.counts.counted(series.series_instance_uid, series.instances)
        if counted is None or not counted.is_confirmed:
            self.counts.ask(
                Question(
                    series_instance_uid=series.series_instance_uid,
                    study_instance_uid=series.study_instance_uid,
                    calling_ae=series.calling_ae,
                    held=series.instances,
                )
            )
        return counted

    def ends(self, series: OpenSeries, paths: Sequence[str]) -> Ends:
        """Tell what its end slices show; have somebody look at them."""
        if not paths:
            return Ends.UNKNOWN
        outside = self.look(series, paths)
        if outside is None:
            return Ends.UNKNOWN
        return Ends.OUTSIDE if outside else Ends.INSIDE

    def closed(self, series: OpenSeries) -> None:
        """Forget what an archive said of a series that is closed."""
        self.counts.forget(series.series_instance_uid)
