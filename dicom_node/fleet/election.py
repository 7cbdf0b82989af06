"""Become the active receiver when there is none: the one that closes, dispatches and delivers.

It holds the lease of the database. The others look at its beats; where they are missing for
`SILENT_SECONDS`, or the lease was let go of, the first of them takes it. An active one that comes
back after that finds its transactions fenced, and ends.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable

from dicom_node import database_lease
from dicom_node.database_lease import DatabaseLease
from dicom_node.fleet.roster import Roster
from dicom_node.fleet.silence import BEAT_SECONDS, LOOK_SECONDS, SILENT_SECONDS, Silence
from dicom_node.logs import log
from dicom_node.resources import Resources
from storage.database.lease import Holder, Lease, read_lease
from storage.errors import DatabaseUnavailable, LeaseLost, StaleState
from storage.files.folder_fault import storage_fault
from storage.files.installation import installation_of

STOP_SECONDS = 1.0  #: longest wait for a look, or a takeover, that is under way at the end
PLACE = "receiver "  #: begins the place of a lease whose holder shares the storage folder


class Election:
    """Looks at the active receiver and the others; takes over when there is none.

    Parameters
    ----------
    resources
        Of what the active one does: its sessions hold the lease then.
    elected
        Called with the lease, once; what it raises ends this receiver.
    failed
        Called with a sentence if that raises.
    """

    def __init__(
        self,
        resources: Resources,
        roster: Roster,
        *,
        name: str,
        holder: str,
        elected: Callable[[DatabaseLease], None],
        failed: Callable[[str], None],
    ) -> None:
        self._resources, self._roster = resources, roster
        self._elected, self._failed = elected, failed
        self._name, self._holder = name, holder
        self._silence = Silence()
        self._over = False
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._active = ""  #: whom we know as the active one
        self._away = False

    def start(self) -> None:
        """Start to look."""
        self.restart()

    def restart(self) -> None:
        """Start a thread that looks."""
        self._thread = threading.Thread(target=self._follow, name="election", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        """Say whether the thread runs, or has come to its end in order."""
        return self._ending.is_set() or (self._thread is not None and self._thread.is_alive())

    def stop(self) -> None:
        """Take over no more; wait a moment for a takeover that is under way."""
        self._ending.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(STOP_SECONDS)

    def insist(self, act: Callable[[], object]) -> bool:
        """Do something in the database as soon as it is there; False if we end before that.

        Raises
        ------
        LeaseLost
            If another one is active by now.
        """
        while not self._ending.is_set():
            try:
                act()
            except LeaseLost:
                raise
            except DatabaseUnavailable as fault:
                log.warning("election_delayed", reason=str(fault))
                self._ending.wait(LOOK_SECONDS)
            else:
                return True
        return False

    def look(self) -> None:
        """Look once.

        Raises
        ------
        DatabaseUnavailable
            If the database is away.
        """
        with self._resources.sessions.reading() as session:
            seen = read_lease(session)
            self._roster.look(session)
        if self._over or self._ending.is_set():
            return
        self._tell(seen)
        if self._is_free(seen):
            self._take(seen)

    def _is_free(self, seen: Lease | None) -> bool:
        """Say whether nobody is active; a node that shared its folder with nobody beats slowly."""
        if seen is None or not seen.is_held:
            return True
        shares = seen.held_by.place.startswith(PLACE)
        enough = SILENT_SECONDS if shares else database_lease.SILENT_SECONDS
        return self._silence.look({seen.held_by.holder: seen.beats})[seen.held_by.holder] >= enough

    def _take(self, seen: Lease | None) -> None:
        folder = self._resources.folder
        root, installation = folder.root, installation_of(folder.root)
        if not installation or storage_fault(folder):  # who takes over must see the files
            return
        me = Holder(
            installation=installation,
            holder=self._holder,
            place=f"{PLACE}{self._name}",
            folder=str(root.absolute()),
            host=socket.gethostname(),
            pid=os.getpid(),
        )
        try:
            lease = database_lease.take(
                self._resources, me, seen, renew_seconds=BEAT_SECONDS, with_receivers=True
            )
        except StaleState:  # another one was quicker, or the active one lives
            return
        self._over = True
        if self._ending.is_set():  # the other parts are ending already
            lease.stop()
            return
        lease.start()
        try:
            self._elected(lease)
        except Exception as fault:  # noqa: BLE001  # thread border: it ends, another takes over
            log.exception("job_failed", job="take over")
            self._failed(f"it could not take over: {fault}")
        else:
            log.info("receiver_active", receiver=self._name, number=lease.number)

    def _tell(self, seen: Lease | None) -> None:
        """Tell who is active, when that changes."""
        active = seen.held_by.place.removeprefix(PLACE) if seen and seen.is_held else ""
        if active and active != self._active:
            log.info("receiver_standby", receiver=self._name, active=active)
        self._active = active

    def _follow(self) -> None:
        while not self._ending.wait(LOOK_SECONDS):
            try:
                self.look()
            except Exception as fault:  # noqa: BLE001  # thread border: the next look must come
                self._silence.forget()
                self._roster.forget()
                known = isinstance(fault, DatabaseUnavailable)
                if not self._away:
                    reason = str(fault) if known else type(fault).__name__
                    log.warning("election_delayed", reason=reason)
                self._away = True
            else:
                self._away = False
