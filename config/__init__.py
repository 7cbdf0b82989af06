"""Site settings: one INI file in, frozen values out."""

from config.errors import Fault, SettingsError
from config.example import example_ini, settings_table
from config.reader import load
from config.settings import Destination, DicomDestination, Settings, WebDestination

__all__ = [
    "Destination",
    "DicomDestination",
    "Fault",
    "Settings",
    "SettingsError",
    "WebDestination",
    "example_ini",
    "load",
    "settings_table",
]
