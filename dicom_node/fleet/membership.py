"""Enter this process among the receivers of a database, and show that it lives."""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.metadata import version

from dicom_node.database_lease import SILENT_SECONDS, end_of_holder, of_another_folder
from dicom_node.errors import NodeError
from dicom_node.fleet.silence import BEAT_SECONDS
from dicom_node.folder_lock import SharedFolder
from dicom_node.logs import log
from dicom_node.resources import Resources
from storage.database.lease import Holder, read_lease
from storage.database.receivers import (
    Receiver,
    end_receiver,
    end_receivers,
    enter_receiver,
    show_life,
)
from storage.errors import DatabaseUnavailable
from storage.files.installation import installation_of
from storage.files.receiver_folder import ReceiverFolder, holders_with_folders

PART = "receiver"  #: in the condition of the node


class Membership:
    """The place of this process among the receivers; a thread of it shows that it lives.

    Attributes
    ----------
    sending
        Names the series of which an open association has sent some.
    """

    def __init__(self, resources: Resources, name: str, holder: str) -> None:
        self._resources = resources
        self.name, self.holder = name, holder
        self.sending: Callable[[], Iterable[str]] = tuple
        self._told = threading.Lock()  #: taken for good when the end is told
        self._when_lost: Callable[[], object] = bool
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        resources.sessions.hold_receiver(holder, self._lose)

    @property
    def lost(self) -> str:
        """Say why this process receives no more; empty while it does."""
        return self._resources.sessions.lost

    def when_lost(self, act: Callable[[], object]) -> None:
        """Have something done when others take it for ended, on whatever thread notices."""
        self._when_lost = act
        if self.lost:
            act()

    def start(self) -> None:
        """Start to show that we live."""
        self.restart()

    def restart(self) -> None:
        """Start a thread that does so."""
        self._thread = threading.Thread(target=self._live, name="receiver", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        """Say whether the thread runs, or has come to its end in order."""
        ended = self._ending.is_set() or bool(self.lost)
        return ended or (self._thread is not None and self._thread.is_alive())

    def beat(self) -> None:
        """Show once that we live.

        Raises
        ------
        DatabaseUnavailable
            If the database cannot be written; LeaseLost if others took us for ended.
        """
        sending = self.sending()
        with self._resources.sessions.begin() as session:
            show_life(session, self.holder, sending)

    def stop(self) -> None:
        """Leave, so that nobody has to wait until we count as ended."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(BEAT_SECONDS)
        with suppress(DatabaseUnavailable), self._resources.sessions.begin() as session:
            end_receiver(session, self.holder)

    def _live(self) -> None:
        while not self.lost and not self._ending.wait(BEAT_SECONDS):
            try:
                self.beat()
            except Exception as fault:  # noqa: BLE001  # thread border: the next beat must come
                log.warning("lease_not_renewed", reason=type(fault).__name__)

    def _lose(self, reason: str) -> None:
        if not self._told.acquire(blocking=False):
            return
        self._resources.health.fault(PART, reason, receiving=False)
        log.error("receiver_lost", reason=reason)
        self._when_lost()


def join(
    resources: Resources,
    name: str,
    shared: SharedFolder,
    *,
    adopt: bool = False,
    ending: threading.Event | None = None,
) -> Membership:
    """Enter this process among the receivers; what of an earlier one of its name remains ends.

    Parameters
    ----------
    shared
        The storage folder as we hold it: one that is alone ends all that are entered.
    adopt
        Whether the database of another storage folder is made that of this one, by one alone.
    ending
        Set when the process is to end, which ends a wait for who works on that database.

    Raises
    ------
    NodeError
        If the database belongs to another storage folder, or others run where it is to be adopted,
        or work on that database.
    """
    root, holder = resources.folder.root, uuid.uuid4().hex
    if adopt:
        _check_adoption(resources, shared)
    with resources.sessions.reading() as session:
        lease = read_lease(session)
    is_other = lease is not None and lease.held_by.installation != installation_of(root)
    if lease is not None and is_other and not adopt:
        raise NodeError(of_another_folder(lease, str(root.absolute())))
    if is_other:
        _wait_for_end(resources, ending or threading.Event())
    receiver = Receiver(
        holder=holder,
        name=name,
        host=socket.gethostname(),
        pid=os.getpid(),
        version=version("dicom-node"),
        since=resources.clock(),
    )
    with resources.sessions.begin() as session:
        if shared.is_alone:
            end_receivers(session)
        enter_receiver(session, receiver)
    if shared.is_alone:  # what they have noted, the active one takes up
        for ended in holders_with_folders(root):
            ReceiverFolder(root, ended).end_writing()
    if resources.folder.objects is None:  # else nothing is kept without its row
        folder = ReceiverFolder(root, holder)
        folder.make()
        resources.folder.share(folder)
    log.info("receiver_joined", receiver=name, alone=shared.is_alone)
    return Membership(resources, name, holder)


def _check_adoption(resources: Resources, shared: SharedFolder) -> None:
    """Check that the database of another storage folder may be made that of this one.

    Raises
    ------
    NodeError
        If others run, or may run on other hosts.
    """
    if resources.folder.objects is not None:
        raise NodeError(
            "expected no --new-folder where files are in a bucket ([storage] objects): a new folder"
            " of a receiver needs none, and another bucket needs another database"
        )
    if not shared.is_alone:
        raise NodeError("expected no other receiver to run with --new-folder: stop them first")


def _wait_for_end(resources: Resources, ending: threading.Event) -> None:
    """Wait until it is clear that nobody works on the database from another storage folder."""
    root = resources.folder.root
    me = Holder(
        installation=installation_of(root),
        holder="",
        place="",
        folder=str(root.absolute()),
        host=socket.gethostname(),
        pid=os.getpid(),
    )
    end_of_holder(resources, me, adopt=True, ending=ending, silent_seconds=SILENT_SECONDS)
