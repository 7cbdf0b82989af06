"""Faults of the settings, reported all at once, by section and key."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault to be corrected in the INI file.

    Attributes
    ----------
    section, key
        Place of the fault; empty if it concerns the whole file, or the whole section.
    """

    section: str
    key: str
    expected: str
    got: str

    @property
    def without_value(self) -> str:
        """Place, and what was expected there; nothing of what the file holds."""
        where = f"[{self.section}] {self.key}".rstrip() if self.section else "file"
        return f"{where}: expected {self.expected}"

    def __str__(self) -> str:
        return f"{self.without_value}, got {self.got}"


class SettingsError(Exception):
    """The settings cannot be used; `faults` lists everything that is wrong."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        count = f"{len(self.faults)} fault{'' if len(self.faults) == 1 else 's'}"
        return "\n".join([f"{count} in the settings", *(f"  {fault}" for fault in self.faults)])


class SettingsChanged(SettingsError):
    """Somebody has changed the file since it was read: nothing was written."""
