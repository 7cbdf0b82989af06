"""Roles of the console's users, and what each may do."""

from __future__ import annotations

import re
from enum import StrEnum

from dicom_node.errors import NodeError
from storage.database.console_tables import MAX_NAME

NAME = re.compile(rf"[a-z0-9][a-z0-9._@-]{{0,{MAX_NAME - 1}}}")


class Role(StrEnum):
    """A role; each may do what those before it may."""

    VIEWER = "viewer"  #: sees everything but patients' identity
    READER = "reader"  #: sees patients' identity, and says whether results are right
    ADMIN = "admin"  #: acts on series, changes settings and users

    def includes(self, other: Role) -> bool:
        """Whether it may do what the other may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


def user_name(text: str) -> str:
    """Read the name of a user.

    Raises
    ------
    NodeError
        If it is none.
    """
    name = text.strip().lower()
    if not NAME.fullmatch(name):
        raise NodeError(
            f"expected a name of at most {MAX_NAME} letters a to z, digits and . _ @ -, beginning"
            " with a letter or digit"
        )
    return name
