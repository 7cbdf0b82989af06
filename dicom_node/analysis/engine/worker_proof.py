"""Show, in a worker, that it can do the work of a node, before it gets any.

A worker of another version, without the model, or that does not see the node's files would fail
every series it gets, and faster than a good one analyses them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pydicom.config

from dicom_node.analysis.configuration import software_version
from dicom_node.analysis.fetch.access import FETCH_FOLDER
from dicom_node.analysis.fetch.private_folder import PrivateFolder
from dicom_node.analysis.worker.garbage import collect_seldom
from dicom_node.analysis.worker.messages import AnalysisConfig
from dicom_node.analysis.worker.models import load_models
from dicom_node.errors import UnfitWorker
from pipeline.encode.result.kinds import TRANSFER_SYNTAXES
from storage.files.installation import installation_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What a worker must show before it gets a task.

    Attributes
    ----------
    software
        Version of the node.
    storage
        The storage folder, whose files the worker has to read, unless it fetches them.
    installation
        The identity that is kept in that folder.
    must_fetch
        Whether the files of that folder are copies, which only one host has.
    """

    software: str
    storage: Path
    installation: str
    must_fetch: bool
    config: AnalysisConfig


def prove(required: Requirements) -> None:
    """Check version, files and model, load the networks and have them compute something small.

    Raises
    ------
    UnfitWorker
        If the version is another, or the storage folder is not the node's.
    NodeError
        If the worker fetches files, and the folder for them will not do.
    pipeline.errors.ModelError
        If there is no model of that digest, or it is damaged.
    """
    installed = software_version()
    if installed != required.software:
        raise UnfitWorker(f"expected dicom-node {required.software}, it has {installed}")
    if folder := os.environ.get(FETCH_FOLDER):
        PrivateFolder(Path(folder)).prepare()
    elif required.must_fetch:
        raise UnfitWorker(
            "the files of the node are in a bucket ([storage] objects): expected an [engine]"
            " fetch_folder, got none"
        )
    elif installation_of(required.storage) != required.installation:
        raise UnfitWorker(
            f"it does not see the storage folder of the node, {required.storage}, nor has it an"
            " [engine] fetch_folder"
        )
    # Several tasks may run in threads of one worker: none may put back what another still needs.
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    collect_seldom()
    _compute(required.config)


def _compute(config: AnalysisConfig) -> None:
    """Load all that a first task would have to wait for, and try it."""
    from pipeline.analyse import analyse  # noqa: F401  # what a first task would wait for
    from pipeline.encode.bundle import encode  # noqa: F401  # what a first task would wait for
    from pipeline.encode.conformance.iod import requirements
    from pipeline.model.self_test import self_test

    for sop_class in TRANSFER_SYNTAXES:
        requirements(sop_class)  # kept; the tables of the standard are read for the first

    self_test(load_models(config))
