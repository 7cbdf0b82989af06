"""Turn settings into the configuration of the pipeline: selection, equipment, results, model."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from config.settings import Settings
from dicom_node.analysis.worker.messages import AnalysisConfig, ModelReference
from pipeline.decision import Bounds, bounds
from pipeline.encode.language.languages import Language
from pipeline.encode.result.identity import Equipment, derived_uid
from pipeline.encode.result.products import HeatmapForm, Products, SegmentationForm
from pipeline.model.manifest import BUNDLED, read_manifest
from pipeline.options import AnalysisOptions
from pipeline.series.image_rules import SelectionRules
from storage.files.installation import installation_of


def bounds_in_use(settings: Settings, folder: Path) -> Callable[[str], Bounds]:
    """Read by which bounds series of a scanner are called with a model, as settings are now.

    Raises
    ------
    pipeline.errors.ModelError
        If there is no model in the folder.
    """
    analysis, (manifest, _) = settings.analysis, read_manifest(folder)
    threshold = None if analysis.threshold == "model" else analysis.threshold

    def of_scanner(scanner: str) -> Bounds:
        return bounds(threshold, manifest, scanner if analysis.bounds_by_scanner else None)

    return of_scanner


def calls_by_scanner(settings: Settings, folder: Path) -> bool:
    """Say whether a model calls series of some scanners by bounds of their group, as settings are.

    Raises
    ------
    pipeline.errors.ModelError
        If there is no model in the folder.
    """
    analysis, (manifest, _) = settings.analysis, read_manifest(folder)
    has_bounds = any(group.conformal for group in manifest.scanner_groups.values())
    return analysis.bounds_by_scanner and analysis.threshold == "model" and has_bounds


def model_folder(settings: Settings) -> Path:
    """Folder of the model that the settings choose."""
    model = settings.analysis.model
    return model if isinstance(model, Path) else BUNDLED


def software_version() -> str:
    """Version of this software."""
    return version("dicom-node")


def software_versions(model_version: str) -> str:
    """Name the software and the model that results are made with."""
    return f"{software_version()} model {model_version}"


def model_of(settings: Settings) -> ModelReference:
    """Name the model that the settings choose.

    Raises
    ------
    pipeline.errors.ModelError
        If there is none in its folder.
    """
    return reference_of(model_folder(settings))


def reference_of(folder: Path) -> ModelReference:
    """Name the model in a folder; raises as `model_of`."""
    manifest, sha256 = read_manifest(folder)
    return ModelReference(
        name=manifest.name, version=manifest.version, sha256=sha256, folder=folder
    )


def equipment_of(settings: Settings, model: ModelReference | None = None) -> Equipment:
    """Make the equipment that the results name.

    The Device UID is that of this installation, AE title and model (IHE AIR 6.5.3.1: another model
    is another device), unless the site has given its own. That of the station stays the same.
    Where no node has run yet, as with ``dicom-node process``, there is no installation to name.

    Parameters
    ----------
    model
        None reads which one the settings choose.
    """
    model = model or model_of(settings)
    station = installation_of(settings.storage.folder)
    derived = derived_uid("device", station, settings.node.ae_title, model.sha256)
    return Equipment(
        manufacturer=settings.results.manufacturer,
        model_name=f"dicom-node {model.name}",
        serial_number=settings.results.device_serial,
        software_versions=software_versions(model.version),
        device_uid=settings.results.device_uid or derived,
        station_uid=derived_uid("station", station),
    )


def analysis_config_of(settings: Settings, model: ModelReference | None = None) -> AnalysisConfig:
    """Make the configuration that every task gets.

    Parameters
    ----------
    model
        None reads which one the settings choose.
    """
    model = model or model_of(settings)
    selection, analysis, results = settings.selection, settings.analysis, settings.results
    equipment = equipment_of(settings, model)
    return AnalysisConfig(
        rules=SelectionRules(
            min_slices=selection.min_slices,
            max_spacing_mm=selection.max_spacing_mm,
            min_coverage_mm=selection.min_coverage_mm,
            require_original=selection.require_original,
            exclude_description=selection.exclude_description,
            own_uids=frozenset({equipment.device_uid, equipment.station_uid}),
        ),
        equipment=equipment,
        model=model,
        device=analysis.device,
        threads=analysis.threads,
        options=AnalysisOptions(
            threshold=None if analysis.threshold == "model" else analysis.threshold,
            lesions_when_negative=analysis.lesions_when_negative,
            unreported_share=analysis.unreported_changes_percent / 100,
            unreported_ml=analysis.unreported_changes_ml,
            by_scanner=analysis.bounds_by_scanner,
            lobes=analysis.lobes,
        ),
        series_number_base=results.series_number_base,
        products=products_of(settings),
    )


def products_of(settings: Settings) -> Products:
    """Choose the result objects that the settings ask for."""
    results = settings.results
    return Products(
        segmentation=SegmentationForm(results.segmentation),
        empty_frames=results.empty_frames,
        heatmap=HeatmapForm(results.heatmap),
        heatmap_columns=results.heatmap_columns,
        heatmap_step_mm=results.heatmap_step_mm,
        parametric_map_columns=results.parametric_map_columns,
        coarse_if_uncompressed=results.coarse_if_uncompressed,
        summary=results.summary,
        summary_pdf=results.summary_pdf,
        text_report=results.text_report,
        parametric_map=results.parametric_map,
        key_images=results.key_images,
        language=Language(results.language),
    )
