"""Write what a command shows, or has done, as JSON, for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime

import typer


def json_text(value: object) -> str:
    """Write a value as JSON: dataclasses by their fields, times as ISO 8601, others as words."""
    return json.dumps(value, default=_plain, indent=2)


def print_outcome(facts: Mapping[str, object], *lines: str, as_json: bool) -> None:
    """Print what a command has done: in words, or its facts as one JSON object."""
    if as_json:
        typer.echo(json_text(facts))
        return
    for line in lines:
        typer.echo(line)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    if isinstance(value, (frozenset, set)):
        return sorted(value)
    return str(value)
