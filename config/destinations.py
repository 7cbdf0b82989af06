"""Sections of the destinations of results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator

from config.value_types import (
    AeTitle,
    Application,
    NotEmpty,
    OptionalPath,
    OptionalUser,
    Port,
    Seconds,
    Section,
    Server,
    WebUrl,
)


class Destination(Section):
    """Keys common to all receivers of results."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="NAME of the section.")
    timeout_seconds: Seconds = Field(
        default=30.0, description="How long we wait for each of its answers."
    )
    enabled: bool = Field(default=True, description="Whether results are sent to it.")


class ObjectDestination(Destination):
    """Keys common to all receivers of DICOM objects."""

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


class DicomDestination(ObjectDestination):
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


class Authenticated(Section):
    """Keys of who we are to a web service."""

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


class WebDestination(Authenticated, ObjectDestination):
    """A receiver of results by DICOMweb: a section with a url has these keys only."""

    url: WebUrl = Field(
        description="Its DICOMweb service (STOW-RS) instead of AE title, host and port; TLS if it"
        " starts with https. Such a section has these keys besides: timeout_seconds, enabled,"
        " compressed, rejection_notes, user, password_file, token_file."
    )


class Hl7Destination(Destination):
    """A receiver of reports as HL7 v2 messages (ORU^R01, by MLLP): a section with the key hl7."""

    hl7: Server = Field(
        description="Its host and port, such as ris.example.org:2575, instead of AE title, host and"
        " port. It gets the measurements, or why a series was not analysed; no images. Such a"
        " section has these keys besides: timeout_seconds, enabled, tls, receiving_application,"
        " receiving_facility, sending_facility, character_set."
    )
    tls: bool = Field(default=False, description="Whether it is called by TLS; see [tls].")
    receiving_application: Application = Field(default="", description="Its name, MSH-5.")
    receiving_facility: Application = Field(default="", description="Its facility, MSH-6.")
    sending_facility: Application = Field(
        default="", description="Our facility, MSH-4; MSH-3 is our AE title."
    )
    character_set: Literal["utf-8", "latin-1"] = Field(
        default="utf-8",
        description="'utf-8' or 'latin-1' (8859/1); what that does not have becomes '?'.",
    )


class FhirDestination(Authenticated, Destination):
    """A receiver of reports as FHIR R4B resources, by HTTP: a section with the key fhir."""

    fhir: WebUrl = Field(
        description="Base URL of its FHIR server instead of AE title, host and port; TLS if it"
        " starts with https. It gets the measurements as a preliminary DiagnosticReport with"
        " Observations, or why a series was not analysed; no images. Such a section has these keys"
        " besides: timeout_seconds, enabled, user, password_file, token_file."
    )


KINDS: Mapping[str, str] = MappingProxyType({"url": "web", "hl7": "hl7", "fhir": "fhir"})
"""Key by which a section shows its kind; without one of them it is a DICOM destination."""


def _kind(value: object) -> str:
    """Tell the kind of a destination by its keys."""
    keys = value if isinstance(value, Mapping) else vars(value)
    return next((kind for key, kind in KINDS.items() if key in keys), "dicom")


AnyDestination = Annotated[
    Annotated[DicomDestination, Tag("dicom")]
    | Annotated[WebDestination, Tag("web")]
    | Annotated[Hl7Destination, Tag("hl7")]
    | Annotated[FhirDestination, Tag("fhir")],
    Discriminator(_kind),
]
