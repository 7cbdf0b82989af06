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
    settings
        As they are now.
    parts
        Each raises `NodeError` if it cannot work with settings.
    """

    def __init__(self, settings: Settings, *parts: Prepared) -> None:
        self._settings, self._parts = settings, parts
        self._lock = threading.Lock()
        self._ended = False

    @property
    def settings(self) -> Settings:
        """The settings as they are now."""
        return self._settings

    def take_up(self, settings: Settings) -> None:
        """Have all parts take settings up, or none.

        Raises
        ------
        NodeError
            If a part cannot work with them.
        """
        while True:
            parts = self._parts
            prepared = [prepare(settings) for prepare in parts]
            with self._lock:
                if self._ended:
                    return
                if parts is self._parts:  # else one has come meanwhile
                    for take in prepared:
                        take()
                    self._settings = settings
                    return

    def extend(self, make: Callable[[Settings], Prepared]) -> None:
        """Make a further part from the settings as they are now."""
        settings = self._settings
        part = make(settings)
        with self._lock:
            self._parts = (*self._parts, part)
            current = self._settings
        if current is not settings:
            self.take_up(current)

    def end(self) -> None:
        """Take nothing up from now on: it would start again what stops."""
        with self._lock:
            self._ended = True
