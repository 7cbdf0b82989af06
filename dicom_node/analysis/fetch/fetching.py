"""Fetch files, in a worker, from the node that handed out its task, over the link between them.

The worker asks for files by their numbers among those of its request, in an event of the token of
the task. The node, which knows the request, puts them into a queue of the scheduler, which holds a
few blocks at a time. Whoever waits too long for the other gives up.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from distributed import Client, Queue, get_worker

from dicom_node.analysis.fetch.access import FETCH_FOLDER, IN_PLACE, FileAccess
from dicom_node.analysis.fetch.offer import OfferedFile, offered_files
from dicom_node.analysis.fetch.private_folder import PrivateFolder
from dicom_node.analysis.fetch.stream import ENDED, Message, messages_of, receive
from dicom_node.errors import NotFetched
from dicom_node.logs import log

QUEUED_BLOCKS = 4  #: that the scheduler holds of one stream
PATIENCE_SECONDS = 60.0  #: of worker and node with each other's next block


def access_for(topic: str, token: str, arguments: Sequence[object]) -> FileAccess:
    """Choose the way of a task to the files of its arguments, by the worker's environment."""
    folder = os.environ.get(FETCH_FOLDER)
    if not folder:
        return IN_PLACE
    offered = [file for argument in arguments for file in offered_files(argument)]
    return OverTheLink(topic, token, offered, PrivateFolder(Path(folder)))


class OverTheLink:
    """Files are fetched from the node; one task has one of these.

    Parameters
    ----------
    topic, token
        Of the node and of the task.
    offered
        The files of its request.
    folder
        Where they are kept meanwhile.
    """

    fetches = True

    def __init__(
        self, topic: str, token: str, offered: Sequence[OfferedFile], folder: PrivateFolder
    ) -> None:
        self._topic, self._token, self._folder = topic, token, folder
        self._numbers = {file.path: number for number, file in enumerate(offered)}
        self._asks = count(1)

    @contextmanager
    def at_hand(self, paths: Sequence[Path], /) -> Iterator[Sequence[Path]]:
        """Fetch files into a folder of their own; remove it at the end."""
        with self._folder.of_a_task() as folder:
            yield self._fetch([self._numbers[path] for path in paths], folder)

    def _fetch(self, numbers: Sequence[int], folder: Path) -> Sequence[Path]:
        ask = next(self._asks)
        with _lost_link():
            queue = Queue(_name(self._token, ask), maxsize=QUEUED_BLOCKS)
        try:
            with _lost_link():
                told = {"token": self._token, "ask": ask, "files": list(numbers)}
                get_worker().log_event(self._topic, told)
            paths = receive(_getter(queue), len(numbers), folder)
        except BaseException:
            _close(queue, holders=2)  # the node may be gone, and let go of nothing
            raise
        _close(queue, holders=1)
        return paths


def send(
    client: Client, token: str, ask: int, files: Sequence[OfferedFile] | None, *, worker: str = ""
) -> None:
    """Send what a worker asked for, as fast as it takes it, on a thread of its own; in the node.

    Parameters
    ----------
    files
        None where its task has ended: it asks in vain.
    worker
        What people call it.
    """

    def serve() -> None:
        try:
            _send(client, token, ask, [ENDED] if files is None else messages_of(files))
        except Exception as fault:  # noqa: BLE001  # thread border: the worker says what it lacks
            log.warning("files_not_sent", worker=worker, reason=type(fault).__name__)
        else:
            log.debug("files_sent", worker=worker, files=len(files or ()))

    threading.Thread(target=serve, name="send-files", daemon=True).start()


def _send(client: Client, token: str, ask: int, messages: Iterable[Message]) -> None:
    queue: Queue = Queue(_name(token, ask), client=client)
    try:
        for message in messages:
            queue.put(message, timeout=PATIENCE_SECONDS)
    finally:
        _close(queue, holders=1)


def let_go(client: Client, token: str, ask: int) -> None:
    """Have the scheduler forget what a worker asked for, and did not live to take."""

    def forget() -> None:
        with suppress(Exception):  # the connection is lost
            _close(Queue(_name(token, ask), client=client), holders=2)

    threading.Thread(target=forget, name="let-go-of-files", daemon=True).start()


def _name(token: str, ask: int) -> str:
    return f"{token}-files-{ask}"


def _getter(queue: Queue) -> Callable[[], Message]:
    def get() -> Message:
        with _lost_link():
            message = queue.get(timeout=PATIENCE_SECONDS)
        if not isinstance(message, dict):
            raise NotFetched(f"a message of the node expected, got {type(message).__name__}")
        return message

    return get


def _close(queue: Queue, *, holders: int) -> None:
    """Let go of a queue, for so many of its holders, whom the scheduler counts."""
    with suppress(Exception):  # the connection is lost
        for _ in range(holders):
            queue.close()


@contextmanager
def _lost_link() -> Iterator[None]:
    """Say in one sentence what a lost connection raises.

    Raises
    ------
    NotFetched
        For whatever the block raises.
    """
    try:
        yield
    except Exception as fault:  # library border: whatever a lost connection raises
        raise NotFetched(f"the node sent no file ({type(fault).__name__})") from fault
