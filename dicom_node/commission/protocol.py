"""Look at everything that the acceptance of an installation is about."""

from __future__ import annotations

import json
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from pydicom import dcmread

from config.destinations import Destination, DicomDestination, WebDestination
from config.settings import Settings
from dicom_node.analysis.configuration import model_of
from dicom_node.analysis.outcome_writer import SELF_TEST
from dicom_node.assembly.delivery import peer_of, sender_of
from dicom_node.delivery import capabilities
from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.result_classes import class_name
from dicom_node.demo.pictures import write_previews
from dicom_node.errors import NodeError
from dicom_node.preflight.awaited import awaited
from dicom_node.preflight.doubts import doubts
from dicom_node.preflight.faults import faults
from dicom_node.resources import Resources
from dicom_node.self_test.case import self_test_datasets
from dicom_node.self_test.request import self_test_now
from pipeline.decision import bounds
from pipeline.model.manifest import DEFAULT_POINT, Manifest, read_manifest
from pipeline.synthetic.phantom.dicom import write_series
from storage.results.self_tests import SelfTestRun
from storage.states import SelfTestState

LIBRARIES = ("pydicom", "pynetdicom", "highdicom", "torch", "numpy", "SQLAlchemy")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbedClass:
    """A SOP class that a destination was asked about; the transfer syntax is empty if declined."""

    name: str
    taken: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationSeen:
    """What a destination answered.

    Attributes
    ----------
    fault
        Why it does not answer; empty if it does.
    classes
        Empty where it cannot be asked.
    """

    name: str
    address: str
    fault: str
    classes: Sequence[ProbedClass] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """Everything that the document says.

    Attributes
    ----------
    installation, software, thresholds
        Name and value of each line.
    faults, doubts
        Of the settings, as `dicom-node check` says them.
    pictures
        PNG files.
    no_pictures
        Why there are none; empty if there are.
    """

    at: datetime
    installation: Sequence[tuple[str, str]]
    software: Sequence[tuple[str, str]]
    thresholds: Sequence[tuple[str, str]]
    faults: Sequence[str]
    doubts: Sequence[str]
    destinations: Sequence[DestinationSeen]
    self_test: SelfTestRun
    pictures: Sequence[Path]
    no_pictures: str = ""

    @property
    def open_points(self) -> list[str]:
        """What is not in order; the installation should not be accepted with any."""
        points = [f"settings: {fault}" for fault in self.faults]
        points += [f"destination {one.name}: {one.fault}" for one in self.destinations if one.fault]
        if not self.destinations:
            points.append("no destination is enabled: results stay here")
        if self.self_test.state is not SelfTestState.PASSED:
            points.append(f"self-test: {self.self_test.reason}")
        if self.no_pictures:
            points.append(f"pictures: {self.no_pictures}")
        return points


def look(settings: Settings, resources: Resources, folder: Path, by: str) -> Protocol:
    """Ask every destination, have the node test itself, and draw its pictures into a folder.

    Raises
    ------
    NodeError
        As :func:`dicom_node.self_test.request.self_test_now`.
    """
    run = self_test_now(resources, by, timedelta(minutes=settings.selftest.within_minutes))
    pictures, no_pictures = _pictures(resources, run, folder)
    return Protocol(
        at=resources.clock(),
        installation=installation_lines(settings),
        software=software_lines(settings),
        thresholds=threshold_lines(settings),
        faults=[*faults(settings), *awaited(settings)],
        doubts=doubts(settings),
        destinations=[
            seen(settings, destination)
            for destination in settings.destinations
            if destination.enabled
        ],
        self_test=run,
        pictures=pictures,
        no_pictures=no_pictures,
    )


def seen(settings: Settings, destination: Destination) -> DestinationSeen:
    """Verify a destination, and ask which SOP classes it takes."""
    address = _address(destination)
    outcome = sender_of(settings, destination).echo()
    if outcome.verdict is not Verdict.ACCEPTED:
        return DestinationSeen(name=destination.name, address=address, fault=outcome.detail)
    if not isinstance(destination, DicomDestination):
        return DestinationSeen(name=destination.name, address=address, fault="")
    try:
        answers = capabilities.probe(
            peer_of(settings, destination),
            calling_ae=settings.node.ae_title,
            compressed=destination.compressed != "no",
        )
    except NodeError as fault:
        return DestinationSeen(name=destination.name, address=address, fault=str(fault))
    classes = [
        ProbedClass(name=class_name(one.sop_class_uid), taken=one.is_accepted) for one in answers
    ]
    return DestinationSeen(name=destination.name, address=address, fault="", classes=classes)


def _address(destination: Destination) -> str:
    if isinstance(destination, DicomDestination):
        return f"{destination.ae_title}@{destination.host}:{destination.port}"
    if isinstance(destination, WebDestination):
        return urlsplit(str(destination.url)).netloc.rpartition("@")[2]
    return destination.name


def installation_lines(settings: Settings) -> list[tuple[str, str]]:
    """Say which installation this is."""
    node, tls = settings.node, settings.tls
    return [
        ("AE title", node.ae_title),
        ("listens on", f"{node.bind}:{node.port}{', TLS' if tls.receive else ''}"),
        ("who may call", ", ".join(node.calling_aes) or "everybody"),
        ("load balancers that name senders", ", ".join(node.balancers) or "none"),
        ("host", platform.node()),
        ("storage folder", str(settings.storage.folder)),
        ("database", settings.database_url.partition(":")[0]),
    ]


def software_lines(settings: Settings) -> list[tuple[str, str]]:
    """Name the versions of everything that decides a result."""
    model = model_of(settings)
    return [
        ("dicom-node", version("dicom-node")),
        ("model", f"{model.name} {model.version}"),
        ("SHA-256 of its manifest", model.sha256),
        ("Python", platform.python_version()),
        *((name, version(name)) for name in LIBRARIES),
        ("operating system", platform.platform()),
    ]


def threshold_lines(settings: Settings) -> list[tuple[str, str]]:
    """Say which scores are called positive and which are indeterminate, and who says so."""
    manifest, _ = read_manifest(model_of(settings).folder)
    chosen = settings.analysis.threshold
    found = bounds(None if chosen == "model" else float(chosen), manifest)
    low = found.indeterminate_from
    by_scanner = settings.analysis.bounds_by_scanner and chosen == "model"
    return [
        ("scores are called positive above", f"{found.threshold:.4f}"),
        ("and are indeterminate from", "none is" if low is None else f"{low:.4f}"),
        ("which is", "the model's" if chosen == "model" else "set here ([analysis] threshold)"),
        ("by scanner", _scanner_words(manifest) if by_scanner else "no: alike for all scanners"),
        ("default of the model", f"{manifest.operating_points[DEFAULT_POINT].threshold:.4f}"),
        ("lesions when negative", "yes" if settings.analysis.lesions_when_negative else "no"),
        (
            "changes are named from",
            f"{settings.analysis.unreported_changes_percent:g} % of the lungs,"
            f" or {settings.analysis.unreported_changes_ml:g} ml",
        ),
        (
            "slices, distance, extent",
            f"from {settings.selection.min_slices}, to {settings.selection.max_spacing_mm:g} mm,"
            f" from {settings.selection.min_coverage_mm:g} mm",
        ),
    ]


def _scanner_words(manifest: Manifest) -> str:
    """Name the scanner groups with bounds of their own, and these."""
    own = {
        name: group.conformal.levels[0].indeterminate
        for name, group in manifest.scanner_groups.items()
        if group.conformal is not None
    }
    words = [f"{name} {low:.4f} to {high:.4f}" for name, (low, high) in own.items()]
    return ", ".join(words) or "the model has no bounds of scanner groups"


def _pictures(resources: Resources, run: SelfTestRun, folder: Path) -> tuple[list[Path], str]:
    """Draw what a viewer shows of the self-test: from its images, and the objects made of them."""
    if not run.found or run.began_at is None:
        return [], "the self-test has made no objects"
    results = [dcmread(path) for path in sorted((resources.folder.root / SELF_TEST).glob("*.dcm"))]
    with tempfile.TemporaryDirectory(prefix="commission-") as place:
        ct = write_series(self_test_datasets(run.series_instance_uid, run.began_at), Path(place))
        pictures = write_previews(ct, results, folder)
    return pictures, "" if pictures else "[results] makes no object with a picture"


def figures_of(run: SelfTestRun) -> list[tuple[str, str, str]]:
    """Name, found and expected value of each figure of a self-test; none before it has any."""
    if not run.verdict:
        return []
    verdict = json.loads(run.verdict)
    known = verdict["expected"]["figures"] or {}
    return [
        (name.replace("_", " "), f"{value:.4g}", f"{known[name]:.4g}" if known else "-")
        for name, value in verdict["figures"].items()
    ]
