"""Doubts: what keeps the node from nothing, but should be put right."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from config.destinations import Destination, DicomDestination, Hl7Destination
from config.settings import Settings
from dicom_node.analysis.configuration import calls_by_scanner, model_folder
from dicom_node.assembly.security import certificate_doubts_of
from dicom_node.clock_watch import utc_now
from dicom_node.network.addresses.own_address import is_own
from dicom_node.network.pynetdicom_internals import version
from dicom_node.preflight.awaited import computes_here
from dicom_node.preflight.faults import nearest
from pipeline.errors import ModelError
from pipeline.model.manifest import read_manifest
from storage.files.disk import GIGABYTE, disk_free, no_room

WEB, HL7, FHIR = (
    "DICOMweb",
    "HL7",
    "FHIR",
)  #: in place of the AE title of a destination that has none


def doubts(
    settings: Settings, *, pynetdicom: str = version.INSTALLED, now: datetime | None = None
) -> list[str]:
    """List what does not keep the node from working, but should be put right.

    Parameters
    ----------
    pynetdicom
        Its version.
    now
        Time at which certificates must be valid; the present by default.
    """
    now = now or utc_now()
    doubtful = [
        f"{name}: expected a file that we alone may read, got one that all may: {file}"
        for name, file in settings.secrets.items()
        if _exposed(file)
    ]
    if not any(destination.enabled for destination in settings.destinations):
        doubtful.append(
            "[destination NAME]: expected one that is enabled, got none: results stay here"
        )
    if not version.is_tested(pynetdicom):
        doubtful.append(
            f"pynetdicom {pynetdicom}: this node was tested with {', '.join(version.TESTED)};"
            " it receives and sends by the slower way"
        )
    return [
        *doubtful,
        *certificate_doubts_of(settings, now),
        *_destinations(settings),
        *_room(settings),
        *_second_model(settings),
        *_bounds(settings),
    ]


def _room(settings: Settings) -> Iterator[str]:
    """Compare the free space with the reserve: what is here is still analysed and delivered."""
    try:
        free = disk_free(nearest(settings.storage.folder))
    except OSError:
        return  # that is a fault
    reserve = int(settings.storage.reserve_gb * GIGABYTE)
    if free <= reserve:
        yield f"[storage] reserve_gb: {no_room(free, reserve)}"


def _destinations(settings: Settings) -> Iterator[str]:
    """Find destinations that are this node itself, or the same peer under two names."""
    names: dict[tuple[str, str, int], str] = {}
    for destination in (there for there in settings.destinations if there.enabled):
        peer = title, host, port = _peer(destination)
        receiver = settings.dicomweb if title == WEB else settings.node
        if title not in {HL7, FHIR} and port == receiver.port and is_own(host, receiver.bind):
            yield f"[destination {destination.name}]: it is this node, which takes no results"
        if peer in names:
            yield (
                f"[destination {destination.name}]: it is the same as [destination {names[peer]}],"
                " which gets every result twice"
            )
        names.setdefault(peer, destination.name)


def _peer(destination: Destination) -> tuple[str, str, int]:
    """Title, host and port of a destination; by DICOMweb it has no title."""
    if isinstance(destination, DicomDestination):
        return destination.ae_title, destination.host.lower(), destination.port
    if isinstance(destination, Hl7Destination):
        host, _, number = destination.hl7.rpartition(":")
        return HL7, host.lower(), int(number)
    fhir = getattr(destination, "fhir", "")
    url = urlsplit(fhir or getattr(destination, "url", ""))
    return (
        FHIR if fhir else WEB,
        url.hostname or "",
        url.port or (443 if url.scheme == "https" else 80),
    )


def _exposed(file: Path) -> bool:
    """Say whether every user of this machine may read a file; one without access is a fault."""
    try:
        return bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _bounds(settings: Settings) -> Iterator[str]:
    """Ask whether bounds by scanner, where they are wanted, can decide anything."""
    wanted, folder = settings.analysis, model_folder(settings)
    try:
        if wanted.bounds_by_scanner and not calls_by_scanner(settings, folder):
            expected = "a model with bounds of scanner groups, and threshold = model"
            yield (
                f"[analysis] bounds_by_scanner: expected {expected}, got threshold ="
                f" {wanted.threshold} and {folder}: bounds are alike for all scanners"
            )
    except ModelError:  # a fault, which `faults` names
        return


def _second_model(settings: Settings) -> Iterator[str]:
    """Read the manifest of the second model, and its weights where analyses run here.

    The node does all its work without a second model. No network is made of the weights: this is
    asked in the node, which has no torch.
    """
    folder = settings.shadow.model
    if folder is None:
        return
    try:
        manifest, digest = read_manifest(folder)
        if digest == read_manifest(model_folder(settings))[1]:
            yield f"[shadow] model: expected another model than the one in use, got it: {folder}"
        if computes_here(settings):
            for network in (manifest.networks.lungs, manifest.networks.classifier):
                weights = (folder / network.file).read_bytes()
                if hashlib.sha256(weights).hexdigest() != network.sha256:
                    yield f"[shadow] model: {network.file} is not the file that its manifest names"
    except OSError as fault:
        yield f"[shadow] model: expected a file that can be read, got {fault}"
    except ModelError as fault:
        yield f"[shadow] model: {fault}"
