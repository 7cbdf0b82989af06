"""Make the engine that analyses run on."""

from __future__ import annotations

from functools import partial

from config.settings import Settings
from dicom_node.analysis.configuration import analysis_config_of, software_version
from dicom_node.analysis.engine.compute_engine import ComputeEngine
from dicom_node.analysis.engine.connection import EMBEDDED, EngineAddress, connect
from dicom_node.analysis.engine.worker_proof import Requirements, prove
from dicom_node.errors import NodeError
from dicom_node.health import Health
from dicom_node.network.tls import Credentials
from storage.files.installation import installation_of


def engine_of(settings: Settings, health: Health) -> ComputeEngine:
    """Make the engine that the settings describe; it connects when it is tended."""
    address = engine_address_of(settings)
    return ComputeEngine(
        partial(connect, address),
        partial(prove, requirements_of(settings)),
        health,
        renewed=address.scheduler == EMBEDDED,
    )


def engine_address_of(settings: Settings) -> EngineAddress:
    """Say where the engine is.

    Raises
    ------
    NodeError
        If some of the files for TLS with it are configured, and others are not.
    """
    engine = settings.engine
    files = {
        "certificate": engine.certificate,
        "key": engine.key,
        "authorities": engine.authorities,
    }
    given = {name: file for name, file in files.items() if file is not None}
    if given and len(given) < len(files):
        raise NodeError(
            f"[engine] certificate, key, authorities: expected all three, got {', '.join(given)}"
        )
    return EngineAddress(
        scheduler=engine.scheduler,
        threads=settings.analysis.threads,
        memory_limit_gb=engine.memory_limit_gb,
        credentials=Credentials(**given) if given else None,
    )


def requirements_of(settings: Settings) -> Requirements:
    """Say what a worker must show before it gets a task."""
    return Requirements(
        software=software_version(),
        storage=settings.storage.folder.absolute(),
        installation=installation_of(settings.storage.folder),
        must_fetch=bool(settings.storage.objects) and settings.engine.scheduler != EMBEDDED,
        config=analysis_config_of(settings),
    )
