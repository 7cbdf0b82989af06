"""Look after the other receivers: end those that are silent, and take up what they left.

Every receiver looks, so that whoever becomes active knows already who is silent; the active one
acts. It first takes the row of a silent one away, so that it writes no row any more; then what it
was writing, so that it gives no file its name any more; then it enters the files that it has noted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from dicom_node.fleet.silence import DOUBT_SECONDS, SILENT_SECONDS, Silence
from dicom_node.health import Health
from dicom_node.logs import log
from storage.database.receivers import Receiver, end_receiver, receivers
from storage.database.sessions import Session, Sessions
from storage.files.receiver_folder import RECEIVERS, ReceiverFolder, holders_with_folders

PART = "ended receivers"  #: in the condition of the node
LEFT_SECONDS = 30.0  #: for which what an ended receiver left may hold closing up, untold

TakeUp = Callable[[Sequence[str]], int]
"""Enters kept files without a row, by their paths; returns when they are in the database."""


class Roster:
    """The receivers as one of them sees them.

    Attributes
    ----------
    sending
        Series of which other receivers have open associations.
    """

    def __init__(
        self, sessions: Sessions, root: Path, me: str, take_up: TakeUp, health: Health
    ) -> None:
        self._sessions, self._root, self._me, self._take_up = sessions, root, me, take_up
        self._health, self._left = health, Silence()
        self._silence = Silence()
        self._silent: dict[str, Receiver] = {}
        self._known = set[str]()  #: whose folders may be there, whether or not they are listed yet
        self._in_doubt = False  #: whether one of them may have ended
        self.sending: frozenset[str] = frozenset()

    def look(self, session: Session) -> None:
        """Look once who shows that it lives."""
        others = {one.holder: one for one in receivers(session) if one.holder != self._me}
        silent = self._silence.look({holder: one.beats for holder, one in others.items()})
        self._silent = {
            holder: others[holder]
            for holder, seconds in silent.items()
            if seconds >= SILENT_SECONDS
        }
        self.sending = frozenset[str]().union(*(one.sending for one in others.values()))
        self._in_doubt = any(seconds >= DOUBT_SECONDS for seconds in silent.values())

    def forget(self) -> None:
        """Begin anew, as after a time in which the database was away."""
        self._silence.forget()
        self._silent, self._in_doubt = {}, True

    def settle(self) -> bool:
        """End who is silent, and take up what receivers left that have no row any more.

        Returns
        -------
        bool
            Whether all kept files have rows, but for those of receivers that live; before that
            nobody may say that a series is complete.
        """
        silent = tuple(self._silent.items())
        for holder, one in silent:
            with self._sessions.begin() as session:
                is_news = end_receiver(session, holder, one.beats)
            if is_news:
                log.warning("receiver_ended", receiver=one.name, host=one.host, pid=one.pid)
        folders = holders_with_folders(self._root)  # before the rows: one that begins has its row
        with self._sessions.reading() as session:
            entered = {one.holder for one in receivers(session)}
        ended = sorted(self._known.union(folders, self._silent) - entered)
        left = [holder for holder in ended if not self._end(ReceiverFolder(self._root, holder))]
        self._known = (entered - {self._me}).union(left)
        self._tell(left)
        return not (self._in_doubt or silent or left)

    def _tell(self, left: Sequence[str]) -> None:
        """Tell of what has been left for long: no series is closed because of it."""
        seconds = self._left.look(dict.fromkeys(left))
        stuck = [holder for holder in left if seconds[holder] >= LEFT_SECONDS]
        if stuck:
            place = self._root / RECEIVERS / stuck[0]
            self._health.fault(
                PART,
                f"no series is closed: what receiver {stuck[0]} left in {place} cannot be removed",
            )
        else:
            self._health.well(PART)

    def _end(self, folder: ReceiverFolder) -> bool:
        """Take up what an ended receiver noted; False if it may still come to more."""
        is_over = folder.end_writing()
        noted = folder.noted()
        kept = folder.paths_of(noted)
        if kept:
            found = self._take_up(sorted(kept.values()))
            log.warning("inbox_scanned", instances=found)
        folder.drop(noted if is_over else kept)
        return is_over and folder.remove()
