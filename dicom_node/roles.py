"""Libraries of a host with one role: a receiving host needs none of those that compute.

``pip install dicom-node`` installs the whole node. A host that only receives, or only serves the
console, takes less: this module needs nothing but Python, so that it can say what is to follow::

    pip install --no-deps dicom-node
    python -m dicom_node.roles receiver > requirements.txt
    pip install -r requirements.txt
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import requires
from importlib.resources import files

PACKAGE = "dicom-node"
ROLES = ("receiver", "worker", "console")
ADDED = ("postgres", "oidc", "training", "notify", "s3")  #: what any of them may have besides
OWN = re.compile(rf"{PACKAGE}\[([\w,-]+)\]")  #: a role that is part of another
OF_EXTRA = re.compile(r"(?P<what>[^;]+);.*\bextra == ['\"](?P<extra>[\w-]+)['\"]")


def requirements(*names: str) -> list[str]:
    """List what roles need, one requirement a line.

    Raises
    ------
    ValueError
        If a name is none of a role, nor of what may be added.
    """
    unknown = sorted(set(names) - {*ROLES, *ADDED})
    if unknown or not names:
        got = ", ".join(unknown) or "none"
        raise ValueError(f"expected {', '.join((*ROLES, *ADDED))}, got {got}")
    needed, left = set[str](), list(names)
    while left:
        for requirement in _of_extra(left.pop()):
            if part := OWN.match(requirement):
                left += part[1].split(",")
            else:
                needed.add(requirement)
    return sorted(needed, key=str.lower)


def constraints() -> str:
    """Versions that this program was built and tested with, for ``pip install -c``."""
    return files("dicom_node").joinpath("constraints.txt").read_text(encoding="utf-8")


def _of_extra(name: str) -> list[str]:
    lines = (OF_EXTRA.match(line) for line in requires(PACKAGE) or ())
    return [line["what"].strip() for line in lines if line and line["extra"] == name]


def main() -> None:
    """Print what the roles named on the command line need."""
    try:
        lines = requirements(*sys.argv[1:])
    except ValueError as fault:
        raise SystemExit(f"error: {fault}") from fault
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
