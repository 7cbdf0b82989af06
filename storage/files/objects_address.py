"""Address of a bucket of an S3 service, with the key of who asks for its objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from storage.errors import ObjectsAway

if TYPE_CHECKING:
    from storage.files.object_store import ObjectStore


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsAddress:
    """Address of objects, with the key of who asks for them.

    Attributes
    ----------
    url
        ``s3://bucket/prefix``.
    endpoint
        URL of a service that is not Amazon's; empty for Amazon's.
    region
        Empty to leave it to the environment, or to the service.
    key_id, key
        Access key; empty to have it found in the environment, or from the role of the host.
    """

    url: str
    endpoint: str = ""
    region: str = ""
    key_id: str = field(default="", repr=False)
    key: str = field(default="", repr=False)


def object_store_at(address: ObjectsAddress) -> ObjectStore:
    """Open a bucket; nothing is asked of it yet.

    Raises
    ------
    ObjectsAway
        If the library for buckets is not installed, or the address is none.
    """
    try:
        from storage.files.object_store import ObjectStore  # noqa: PLC0415  # not everywhere
    except ImportError as absent:
        raise ObjectsAway(
            "[storage] objects: expected obstore, which is not installed: pip install"
            " 'dicom-node[s3]' installs it"
        ) from absent
    return ObjectStore(address)
