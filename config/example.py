"""Render the commented example INI, and the reference of the settings in the documentation."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic.fields import FieldInfo

from config.destinations import DicomDestination, FhirDestination, Hl7Destination, WebDestination
from config.hot import is_hot
from config.reader import SECTIONS
from config.value_types import Section

HEAD = """\
# Settings of the dicom-node. Every key below shows its default:
# take the '#' before a key away to change it. No other keys are known.
# A running node takes changes up by itself; those marked (restart) count from its next start.
"""
EXAMPLE_DESTINATION = {
    "ae_title": "PACS",
    "host": "pacs.example.org",
    "port": "104",
    "url": "https://pacs.example.org/dicom-web",
    "hl7": "ris.example.org:2575",
    "fhir": "https://fhir.example.org/r4",
}  #: values of its required keys


def example_ini() -> str:
    """Render every section and key, commented out, with meaning and default."""
    sections = [_section(f"[{title}]", model) for title, model in SECTIONS.items()]
    sections.append(_section("#[destination PACS]", DicomDestination))
    sections.append(_section("#[destination WEB]", WebDestination))
    sections.append(_section("#[destination RIS]", Hl7Destination))
    sections.append(_section("#[destination FHIR]", FhirDestination))
    return "\n".join([HEAD, *sections])


def settings_reference() -> str:
    """Render every section in Markdown: its meaning, and its keys with default and meaning."""
    sections = [_chapter(f"[{title}]", model) for title, model in SECTIONS.items()]
    sections.append(_chapter("[destination NAME] by DICOM", DicomDestination))
    sections.append(_chapter("[destination NAME] by DICOMweb", WebDestination))
    sections.append(_chapter("[destination NAME] by HL7", Hl7Destination))
    sections.append(_chapter("[destination NAME] by FHIR", FhirDestination))
    return "\n".join(sections)


def _section(title: str, model: type[Section]) -> str:
    name = title.strip("#[]")
    keys = (_commented(name, key, field) for key, field in _keys(model).items())
    return f"# {model.__doc__}\n{title}\n{''.join(keys)}"


def _keys(model: type[Section]) -> dict[str, FieldInfo]:
    """List the keys of a section, required ones first, without a destination's NAME: its title."""
    fields = sorted(model.model_fields.items(), key=lambda item: not item[1].is_required())
    return {key: field for key, field in fields if key != "name"}


def _commented(title: str, key: str, field: FieldInfo) -> str:
    value = EXAMPLE_DESTINATION[key] if field.is_required() else _ini(_default(field))
    return f"# {_meaning(title, key, field)}\n#{key} = {value}".rstrip() + "\n"


def _chapter(title: str, model: type[Section]) -> str:
    name = title.strip("[]")
    rows = [_row(name, key, field) for key, field in _keys(model).items()]
    head = ["| key | default | meaning |", "|---|---|---|"]
    return "\n".join([f"## {title}\n", f"{model.__doc__}\n", *head, *rows]) + "\n"


def _row(title: str, key: str, field: FieldInfo) -> str:
    default = "required" if field.is_required() else _ini(_default(field))
    shown = f"`{default}`" if default else "(empty)"
    return f"| `{key}` | {shown} | {_meaning(title, key, field)} |"


def _meaning(title: str, key: str, field: FieldInfo) -> str:
    """Say what a setting means, and whether it counts from the next start only."""
    return f"{field.description}{'' if is_hot(title, key) else ' (restart)'}"


def _default(field: FieldInfo) -> object:
    default: object = field.get_default(call_default_factory=True, validated_data={})
    return default


def _ini(value: object) -> str:
    """Write a value in the form of the INI file."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(_pair(title, entry) for title, entry in value.items())
    if isinstance(value, tuple):
        return ", ".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _pair(title: str, entry: object) -> str:
    return f"{title}={entry}" if isinstance(entry, str) else f"{title}:{entry:g}"
