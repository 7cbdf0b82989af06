"""Site settings: an INI file, read into frozen values."""

from config.destinations import (
    Destination,
    DicomDestination,
    FhirDestination,
    Hl7Destination,
    WebDestination,
)
from config.errors import Fault, SettingsError
from config.example import example_ini, settings_reference
from config.reader import load
from config.settings import Settings

__all__ = [
    "Destination",
    "DicomDestination",
    "Fault",
    "FhirDestination",
    "Hl7Destination",
    "Settings",
    "SettingsError",
    "WebDestination",
    "example_ini",
    "load",
    "settings_reference",
]
