"""The optional libraries: a node needs none of them, training and evaluation do."""

from __future__ import annotations

from importlib.util import find_spec

from dicom_node.errors import NodeError

LIBRARIES = ("jinja2", "matplotlib", "sklearn")  #: what the extra `training` installs


def needs_extra() -> None:
    """Check that the extra is installed.

    Raises
    ------
    NodeError
        If it is not; the sentence says how to.
    """
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise NodeError(
            f"{', '.join(missing)} expected, not installed:"
            " install them with `pip install dicom-node[training]`"
        )
