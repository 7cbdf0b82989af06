"""Write a software bill of materials (CycloneDX 1.6, ECMA-424) of this environment."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib.metadata import Distribution, requires, version
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import InvalidRequirement, Requirement

from dicom_node.governance.licences import (
    UNKNOWN,
    VENDORED_LICENCE,
    Vendored,
    canonical,
    installed,
    licence_of,
    vendored,
)
from dicom_node.roles import PACKAGE
from pipeline.model.manifest import read_manifest

LICENCES = LicenseFactory()
Need = tuple[str, str]
"""Name of a distribution, and an extra of it; empty for what it needs by itself."""


def sbom(model: Path, now: datetime) -> str:
    """Write the bill as JSON: this program, its model, its scripts, Python, and every package.

    A package that this program needs has the scope ``required``, any other ``optional``: an extra
    needs it, or it is merely installed.

    Parameters
    ----------
    model
        Folder of the model in use.

    Raises
    ------
    ModelError
        If that cannot be read.
    """
    ours = Component(
        name=PACKAGE,
        version=version(PACKAGE),
        type=ComponentType.APPLICATION,
        bom_ref=PACKAGE,
        purl=PackageURL("pypi", None, PACKAGE, version(PACKAGE)),
    )
    found = installed()
    needs = needs_of(found)
    direct = _needed(requires(PACKAGE), found)
    required = {name for name, _ in reached(direct, found)}
    packages = {
        name: _package(name, one, is_required=name in required) for name, one in found.items()
    }
    parts = [_model(model), _python(), *map(_script, vendored())]
    bom = Bom(
        metadata=BomMetaData(component=ours, timestamp=now),
        components=[*parts, *packages.values()],
    )
    bom.register_dependency(ours, [*parts, *(packages[name] for name in _names(direct))])
    for name, others in needs.items():
        bom.register_dependency(packages[name], [packages[other] for other in others])
    return str(JsonV1Dot6(bom).output_as_string(indent=1))


def _package(name: str, one: Distribution, *, is_required: bool) -> Component:
    said = licence_of(one)
    return Component(
        name=name,
        version=one.version,
        bom_ref=f"{name}=={one.version}",
        purl=PackageURL("pypi", None, name, one.version),
        licenses=[] if said == UNKNOWN else [LICENCES.make_from_string(said)],
        scope=ComponentScope.REQUIRED if is_required else ComponentScope.OPTIONAL,
    )


def _model(folder: Path) -> Component:
    manifest, sha256 = read_manifest(folder)
    return Component(
        name=manifest.name,
        version=manifest.version,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"model {manifest.name}",
        description="The digest is that of its manifest, which holds those of its weights.",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)],
    )


def _python() -> Component:
    return Component(
        name=platform.python_implementation(),
        version=platform.python_version(),
        type=ComponentType.PLATFORM,
        bom_ref="python",
    )


def _script(one: Vendored) -> Component:
    digest = hashlib.sha256(one.content).hexdigest()
    return Component(
        name=one.name,
        version=one.version,
        bom_ref=f"{one.name}=={one.version}",
        purl=PackageURL("npm", None, one.name, one.version),
        licenses=[LICENCES.make_from_string(VENDORED_LICENCE)],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
        scope=ComponentScope.REQUIRED,
    )


def _needed(
    requirements: Sequence[str] | None, found: Mapping[str, Distribution], extra: str = ""
) -> set[Need]:
    """List what is needed here of a distribution's requirements, or of those of an extra."""
    return {
        (canonical(one.name), more)
        for one in _here(requirements or (), extra)
        if canonical(one.name) in found
        for more in ("", *one.extras)
    }


def _here(requirements: Sequence[str], extra: str) -> Iterator[Requirement]:
    for text in requirements:
        try:
            one = Requirement(text)
        except InvalidRequirement:  # of others' making
            continue
        if one.marker is None or one.marker.evaluate({"extra": extra}):
            yield one


def reached(direct: Iterable[Need], found: Mapping[str, Distribution]) -> set[Need]:
    """List everything that is needed, directly or by what is needed, extras and all."""
    known, waiting = set[Need](), list(direct)
    while waiting:
        need = waiting.pop()
        if need not in known:
            known.add(need)
            waiting += _needed(found[need[0]].requires, found, need[1])
    return known


def needs_of(found: Mapping[str, Distribution]) -> dict[str, list[str]]:
    """List what each distribution needs, with those of its extras that another one needs."""
    needs: dict[str, set[Need]] = {name: set() for name in found}
    for name, extra in reached([(name, "") for name in found], found):
        needs[name] |= _needed(found[name].requires, found, extra)
    return {name: _names(of_one) for name, of_one in needs.items()}


def _names(needs: Iterable[Need]) -> list[str]:
    return sorted({name for name, _ in needs})
