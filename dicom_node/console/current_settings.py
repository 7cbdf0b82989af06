"""Settings of the INI file as it is now; of the last that were in order while it is not.

Those that the console itself has begun with stay until its next start.
"""

from __future__ import annotations

import threading
from pathlib import Path

from config.errors import SettingsError
from config.reader import load
from config.settings import Settings

AT_START = ("console", "storage", "audit")  #: sections that count from the console's start on


class CurrentSettings:
    """Reads the INI file again when it has changed; for any thread.

    Attributes
    ----------
    path
        The INI file.
    fault
        What is wrong with the file as it is; empty if nothing is.

    Raises
    ------
    SettingsError
        If the file is faulty at the start.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.fault = path, ""
        self._lock = threading.Lock()
        self._read_at = self._stamp()
        self._settings = self._at_start = load(path)

    def __call__(self) -> Settings:
        """Give the settings."""
        with self._lock:
            stamp = self._stamp()
            if stamp != self._read_at:
                self._read_at = stamp
                try:
                    self._settings, self.fault = self._taken_up(load(self.path)), ""
                except SettingsError as fault:
                    self.fault = str(fault)
            return self._settings

    def _taken_up(self, new: Settings) -> Settings:
        return new.model_copy(update={name: getattr(self._at_start, name) for name in AT_START})

    def _stamp(self) -> tuple[int, int, int] | None:
        """Tell one writing of the file from another; None while it is away."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns
