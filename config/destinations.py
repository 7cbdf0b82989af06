"""Sections of the destinations of results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator

from config.value_types import (
    AeTitle,
    NotEmpty,
    OptionalPath,
    OptionalUser,
    Port,
    Seconds,
    Section,
    WebUrl,
)


class Destination(Section):
    """Keys common to all receivers of results."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="NAME of the section.")
    timeout_seconds: Seconds = Field(
        default=30.0, description="How long we wait for each of its answers."
    )
    enabled: bool = Field(default=True, description="Whether results are sent to it.")
    compressed: Literal["negotiated", "yes", "no"] = Field(
        default="negotiated",
        description="Whether it gets results compressed, without a loss (images as JPEG 2000, label"
        " maps as RLE, segmentations and parametric maps deflated): 'negotiated', where it accepts"
        " that by DICOM; 'yes', by DICOMweb too, which cannot be asked (what it refuses is sent"
        " again in explicit VR); or 'no'.",
    )
    rejection_notes: bool = Field(
        default=False,
        description="Whether it is told by a rejection note (Key Object Selection, IHE IOCM) which"
        " earlier results it has that new ones have superseded, once these have arrived there."
        " Archives hide, some delete, what is rejected.",
    )


class DicomDestination(Destination):
    """A receiver of results. NAME: letters, digits, '-' and '_'; as many sections as needed."""

    ae_title: AeTitle = Field(description="Its AE title.")
    host: NotEmpty = Field(description="Its host name or address.")
    port: Port = Field(description="Its TCP port.")
    tls: bool = Field(default=False, description="Whether it is called by TLS; see [tls].")
    verify: Literal["no", "commitment", "query"] = Field(
        default="no",
        description="Whether it is asked if it keeps what it accepted: by storage 'commitment' (its"
        " answers may come to our port: see calling_aes), by 'query' (C-FIND; what is missing is"
        " sent again), or 'no'. Results are delivered when it has confirmed them.",
    )
    earlier_studies: bool = Field(
        default=False,
        description="Whether it is asked (C-FIND) for earlier chest CT of a patient of whom there"
        " is no earlier result, and to send one series (C-MOVE to our AE title). Its results are"
        " sent as those of any other series; the new results follow again, with the comparison.",
    )


class WebDestination(Destination):
    """A receiver of results by DICOMweb: a section with a url has these keys only."""

    url: WebUrl = Field(
        description="Its DICOMweb service (STOW-RS) instead of AE title, host and port; TLS if it"
        " starts with https. Such a section has these keys besides: timeout_seconds, enabled,"
        " compressed, rejection_notes, user, password_file, token_file."
    )
    user: OptionalUser = Field(default="", description="Who we say we are, if it asks.")
    password_file: OptionalPath = Field(
        default=None, description="File with the password of that user, readable by us alone."
    )
    token_file: OptionalPath = Field(
        default=None,
        description="File with a bearer token, readable by us alone; read anew each time.",
    )

    @field_validator("password_file")
    @classmethod
    def _with_user(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if "user" in info.data and bool(file) != bool(info.data["user"]):
            raise ValueError("a file where there is a user, and only there")
        return file

    @field_validator("token_file")
    @classmethod
    def _without_user(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if file and info.data.get("user"):
            raise ValueError("a token or a user, not both")
        return file


def _kind(value: object) -> str:
    """Tell the kind of a destination by its keys: one with a url is reached by DICOMweb."""
    keys = value if isinstance(value, Mapping) else vars(value)
    return "web" if "url" in keys else "dicom"


AnyDestination = Annotated[
    Annotated[DicomDestination, Tag("dicom")] | Annotated[WebDestination, Tag("web")],
    Discriminator(_kind),
]
