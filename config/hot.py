"""Tell which settings a running node takes up as soon as the INI file has changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any

from config.destinations import (
    Destination,
    DicomDestination,
    FhirDestination,
    Hl7Destination,
    WebDestination,
)
from config.settings import Settings
from config.value_types import Section
from config.versions import Change

HOT: Mapping[str, frozenset[str]] = {
    "node": frozenset({"calling_aes", "commitment_peers", "require_called_ae"}),
    "retention": frozenset(
        {
            "keep_days",
            "disk_pressure_gb",
            "quarantine_days",
            "condense_days",
            "series_days",
            "changes_days",
        }
    ),
    "closing": frozenset(
        {
            "quiet_seconds",
            "quiet_seconds_by_ae",
            "quiet_seconds_regular",
            "quiet_seconds_regular_by_ae",
            "ask",
        }
    ),
    "selection": frozenset(
        {
            "min_slices",
            "max_spacing_mm",
            "min_coverage_mm",
            "require_original",
            "exclude_description",
        }
    ),
    "analysis": frozenset(
        {
            "threshold",
            "bounds_by_scanner",
            "switch",
            "expires",
            "urgent_aes",
            "lesions_when_negative",
            "unreported_changes_percent",
            "unreported_changes_ml",
            "lobes",
        }
    ),
    "results": frozenset(
        {
            "language",
            "series_number_base",
            "manufacturer",
            "device_serial",
            "device_uid",
            "segmentation",
            "empty_frames",
            "heatmap",
            "heatmap_columns",
            "heatmap_step_mm",
            "summary",
            "summary_pdf",
            "text_report",
            "parametric_map",
            "parametric_map_columns",
            "coarse_if_uncompressed",
            "key_images",
            "not_analysed",
            "priors",
        }
    ),
    "engine": frozenset({"task_timeout_seconds", "attempts", "retry_first_seconds"}),
    "delivery": frozenset(
        {
            "retry_first_seconds",
            "retry_factor",
            "retry_max_seconds",
            "give_up_after_hours",
            "verify_again_hours",
        }
    ),
    "reports": frozenset({"unknown_days"}),
    "drift": frozenset({"action", "reference_series"}),
    "shadow": frozenset(
        {
            "model",
            "least_patients",
            "least_labelled",
            "auc_margin",
            "most_changed_percent",
            "most_failed_percent",
        }
    ),
    "selftest": frozenset({"every_hours", "within_minutes", "needed_for_ready"}),
}
"""Keys that are taken up at once, by section; so are all destinations."""

AT_START: Mapping[str, frozenset[str]] = {
    "node": frozenset(
        {
            "ae_title",
            "port",
            "bind",
            "balancers",
            "feedback",
            "maximum_associations",
            "maximum_associations_per_address",
            "maximum_object_mb",
            "maximum_pdu_size",
            "network_timeout_seconds",
            "receiver",
        }
    ),
    "tls": frozenset({"receive", "certificate", "key", "authorities", "verify_peers"}),
    "dicomweb": frozenset({"port", "bind", "token_file", "maximum_requests", "maximum_request_mb"}),
    "reports": frozenset({"port", "bind", "senders", "tls"}),
    "console": frozenset(
        {
            "port",
            "bind",
            "hosts",
            "certificate",
            "key",
            "show_patients",
            "trusted_proxies",
            "proxy_user_header",
            "proxy_groups_header",
            "group_roles",
            "oidc_issuer",
            "oidc_client_id",
            "oidc_password_file",
            "oidc_authorities",
            "oidc_name_claim",
            "oidc_groups_claim",
        }
    ),
    "storage": frozenset(
        {
            "folder",
            "database_url",
            "database_url_file",
            "objects",
            "objects_endpoint",
            "objects_region",
            "objects_key_file",
            "migrate_at_start",
            "reserve_gb",
            "row_delay_seconds",
        }
    ),
    "closing": frozenset({"notifications", "check_every_seconds"}),
    "analysis": frozenset({"model", "device", "threads"}),
    "engine": frozenset(
        {"scheduler", "certificate", "key", "authorities", "fetch_folder", "memory_limit_gb"}
    ),
    "delivery": frozenset({"check_every_seconds"}),
    "log": frozenset({"level", "format", "file"}),
    "audit": frozenset({"syslog", "protocol"}),
    "monitoring": frozenset({"port", "bind", "certificate", "key"}),
    "notify": frozenset({"recipients_file", "backlog_minutes", "gap_minutes", "again_hours"}),
    "worklist": frozenset(
        {
            "manager",
            "workitem_code",
            "station_name",
            "claim",
            "maximum_claimed",
            "give_up_hours",
            "archive",
            "tls",
            "check_every_seconds",
        }
    ),
}
"""Keys that count from the next start on, by section: of the node, or of the console."""

CONSOLE = "console"  #: section of which a node reads nothing


def waiting_for_restart(changes: Iterable[Change]) -> list[str]:
    """List the keys that were changed and count from the next start of the node only."""
    return [
        f"[{change.section}] {change.key}"
        for change in changes
        if not is_hot(change.section, change.key)
    ]


def is_hot(section: str, key: str) -> bool:
    """Say whether a running node takes up a change of a setting."""
    return section not in Settings.model_fields or key in HOT.get(section, frozenset())


def with_hot(running: Settings, new: Settings) -> Settings:
    """Take the hot settings of the new ones, and the others as they are.

    So is a destination that needs files which count from the next start on.
    """
    before = {destination.name: destination for destination in running.destinations}
    destinations = tuple(
        before[one.name] if _waits(running, new, one) else one
        for one in new.destinations
        if one.name in before or not _waits(running, new, one)
    )
    sections: dict[str, Any] = {"destinations": destinations}
    for name, keys in HOT.items():
        values = {key: getattr(getattr(new, name), key) for key in keys}
        sections[name] = getattr(running, name).model_copy(update=values)
    return running.model_copy(update=sections)


def needing_restart(running: Settings, new: Settings) -> tuple[str, ...]:
    """List what differs and counts from the node's next start on, as ``[section] key``."""
    keys = tuple(
        f"[{name}] {key}"
        for name, keys in AT_START.items()
        if name != CONSOLE
        for key in type(getattr(new, name)).model_fields
        if key in keys and getattr(getattr(running, name), key) != getattr(getattr(new, name), key)
    )
    waiting = (one.name for one in new.destinations if _waits(running, new, one))
    return (*keys, *(f"[destination {name}]" for name in waiting))


def _waits(running: Settings, new: Settings, destination: Destination) -> bool:
    """Say whether a destination needs files for TLS which only the next start brings."""
    needed: tuple[str, ...] = ()
    if isinstance(destination, DicomDestination | Hl7Destination) and destination.tls:
        needed = ("certificate", "key", "authorities")
    elif (isinstance(destination, WebDestination) and destination.url.startswith("https:")) or (
        isinstance(destination, FhirDestination) and destination.fhir.startswith("https:")
    ):
        needed = ("authorities",)
    return any(
        getattr(running.tls, file) is None and getattr(new.tls, file) is not None for file in needed
    )


def hot_changes(running: Settings, new: Settings) -> tuple[str, ...]:
    """List the settings that differ and can be taken up at once, as ``[section] key``."""
    keys = tuple(
        f"[{name}] {key}"
        for name, keys in HOT.items()
        for key in type(getattr(new, name)).model_fields
        if key in keys and getattr(getattr(running, name), key) != getattr(getattr(new, name), key)
    )
    before = {destination.name: destination for destination in running.destinations}
    after = {destination.name: destination for destination in new.destinations}
    changed = sorted(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )
    return (*keys, *(f"[destination {name}]" for name in changed))


def withdrawn(running: Settings, new: Settings) -> tuple[str, ...]:
    """List what had a value and has none any more, of what is taken up at once.

    A file of which a part is missing looks so: destinations are gone, and lists are empty.
    """
    keys = tuple(
        f"[{name}] {key}"
        for name, hot in HOT.items()
        for key in _emptied(getattr(running, name), getattr(new, name))
        if key in hot
    )
    after = {destination.name: destination for destination in new.destinations}
    lacking = tuple(
        f"[destination {one.name}]"
        for one in running.destinations
        if one.name not in after or any(_emptied(one, after[one.name]))
    )
    return (*keys, *lacking)


def _emptied(before: Section, after: Section) -> Iterator[str]:
    """List the keys of a section whose value has changed to none, or to the default unasked."""
    for key in type(before).model_fields:
        value = getattr(after, key, None)
        if value != getattr(before, key) and (
            key not in after.model_fields_set or (isinstance(value, Sized) and not value)
        ):
            yield key
