"""Have all parts of a running node take settings up, or none, and none once the node stops."""

from __future__ import annotations

import threading
from collections.abc import Callable

from config.settings import Settings

Prepared = Callable[[Settings], Callable[[], None]]
"""Makes what a part needs of settings, and returns what takes it up, which cannot fail."""


class TakingUp:
    """Takes settings up, for any thread.

    Parameters
    ----------
    parts
        Each raises `NodeError` if it cannot work with settings.
    """

    def __init__(self, *parts: Prepared) -> None:
        self._parts = parts
        self._lock = threading.Lock()
        self._ended = False

    def take_up(self, settings: Settings) -> None:
        """Have all parts take settings up, or none.

        Raises
        ------
        NodeError
            If a part cannot work with them.
        """
        prepared = [prepare(settings) for prepare in self._parts]
        with self._lock:
            if not self._ended:
                for take in prepared:
                    take()

    def end(self) -> None:
        """Take nothing up from now on: it would start again what stops."""
        with self._lock:
            self._ended = True
