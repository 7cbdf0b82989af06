"""Sections of reception: DICOM, TLS and DICOMweb."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator

from config.value_types import (
    AeTitle,
    Callers,
    GroupRoles,
    HeaderName,
    HostNames,
    IssuerUrl,
    Listeners,
    Networks,
    NotEmpty,
    OptionalPath,
    ReceiverName,
    Seconds,
    Section,
    is_loopback,
)


class NodeSettings(Section):
    """The DICOM node: what the PACS administrator enters as a destination."""

    ae_title: AeTitle = Field(default="AINODE", description="Our AE title.")
    port: int = Field(
        default=11112, ge=0, le=65535, description="TCP port we listen on; 0 takes any free one."
    )
    bind: NotEmpty = Field(
        default="0.0.0.0",  # noqa: S104  a DICOM node is there to be reached from other machines
        description="Address we listen on; 0.0.0.0 means every interface.",
    )
    calling_aes: Callers = Field(
        default=(),
        description="AE titles that may send, separated by commas, each from anywhere or from an"
        " address or network (CT1, ROUTER@10.1.0.0/16); empty lets anybody send.",
    )
    balancers: Networks = Field(
        default=(),
        description="Addresses or networks of load balancers, separated by commas, that begin"
        " every connection with a header of the PROXY protocol (version 1 or 2): the address that"
        " it names is the sender's, and what comes from them without one is closed. From nobody"
        " else is a header believed.",
    )
    commitment_peers: Listeners = Field(
        default=(),
        description="Senders that may ask for storage commitment, and where they hear our answers"
        " if they close the association (CT1@ct1.example.org:104), separated by commas; others"
        " are refused.",
    )
    feedback: bool = Field(
        default=True,
        description="Take rejection notes (Key Object Selections) and assessment reports (SR) as"
        " answers to our results: kept with who and when, shown by status and feedback.",
    )
    receiver: ReceiverName = Field(
        default="",
        description="Name of this receiver where several share the database (PostgreSQL) and the"
        " storage folder, each with a name of its own: all of them receive, and one analyses and"
        " delivers; empty for a node that shares them with nobody.",
    )
    require_called_ae: bool = Field(
        default=True, description="Reject associations that call us by another AE title."
    )
    maximum_associations: int = Field(
        default=100,
        ge=1,
        le=1000,
        description="How many associations may be open at the same time.",
    )
    maximum_associations_per_address: int = Field(
        default=50,
        ge=1,
        le=1000,
        description="How many of them one address may have, so that it leaves some to others.",
    )
    maximum_object_mb: int = Field(
        default=4096,
        ge=1,
        description="Largest instance we accept by C-STORE, MB; the association of a larger one"
        " is aborted.",
    )
    maximum_pdu_size: int = Field(
        default=131072,
        ge=4096,
        le=4194304,
        description="Largest PDU we accept, bytes.",
    )
    network_timeout_seconds: Seconds = Field(
        default=60.0, description="An association that is silent for so long is closed."
    )


class TlsSettings(Section):
    """DICOM over TLS (PS3.15 B.12): PEM files; renewed ones are taken up without a restart."""

    receive: bool = Field(default=False, description="Whether our port speaks TLS, and only TLS.")
    certificate: OptionalPath = Field(default=None, description="Our certificate and its chain.")
    key: OptionalPath = Field(default=None, description="Its key, readable by us alone.")
    authorities: OptionalPath = Field(
        default=None, description="Certificates of those who sign our peers' certificates."
    )
    verify_peers: bool = Field(
        default=True, description="Whether callers must show a certificate of the authorities."
    )


class DicomWebSettings(Section):
    """Receiving by DICOMweb (STOW-RS) as well; TLS if [tls] says so of our port."""

    port: int = Field(
        default=0, ge=0, le=65535, description="TCP port for STOW-RS (http or https); 0 is off."
    )
    bind: NotEmpty = Field(default="127.0.0.1", description="Address it is on.")
    token_file: OptionalPath = Field(
        default=None,
        description="File with the bearer token that senders must show, readable by us alone;"
        " needed unless bind is a loopback address. calling_aes says nothing of these senders.",
    )
    maximum_requests: int = Field(
        default=20, ge=1, le=100, description="How many requests may run at the same time."
    )
    maximum_request_mb: int = Field(default=4096, ge=1, description="Largest request, MB.")

    @field_validator("token_file")
    @classmethod
    def _needed(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if not file and info.data.get("port") and not is_loopback(info.data.get("bind", "")):
            raise ValueError("a file with a token, or a bind address that is loopback")
        return file


class ConsoleSettings(Section):
    """The web console, in a process of its own (dicom-node console); users: dicom-node user."""

    port: int = Field(
        default=0, ge=0, le=65535, description="TCP port of the console (http or https); 0 is off."
    )
    bind: NotEmpty = Field(default="127.0.0.1", description="Address it is on.")
    hosts: HostNames = Field(
        default=(),
        description="Names by which browsers may call it besides bind and localhost, separated by"
        " commas; requests by another name are refused.",
    )
    certificate: OptionalPath = Field(
        default=None,
        description="Certificate and chain (PEM) for https; needed unless bind is a loopback"
        " address.",
    )
    key: OptionalPath = Field(default=None, description="Its key, readable by us alone.")
    show_patients: bool = Field(
        default=True,
        description="Whether readers and administrators see names and IDs of patients; they are"
        " read from the images when a page is opened. Viewers never do.",
    )

    trusted_proxies: Networks = Field(
        default=(),
        description="Addresses or networks of reverse proxies, separated by commas, through which"
        " browsers reach it by https; what they say of users counts. Nobody else may be able to"
        " connect from there: see SECURITY.md.",
    )
    proxy_user_header: HeaderName = Field(
        default="",
        description="Header in which a trusted proxy names the user whom it has logged in; it must"
        " replace what the browser sends. Empty lets users log in here.",
    )
    proxy_groups_header: HeaderName = Field(
        default="", description="Header in which it names the user's groups, separated by commas."
    )
    group_roles: GroupRoles = Field(
        default={},
        description="Roles of groups (radiology=reader, pacs=admin, *=viewer), of which a user has"
        " the highest; users are entered as they come. Empty lets in those of dicom-node user.",
    )

    oidc_issuer: IssuerUrl = Field(
        default="",
        description="Address of an OpenID provider that may log users in besides"
        " (pip install 'dicom-node[oidc]'); its redirect URI is"
        " https://NAME:PORT/login/openid/callback.",
    )
    oidc_client_id: str = Field(default="", description="By what the provider knows the console.")
    oidc_password_file: OptionalPath = Field(
        default=None,
        description="File with the client secret, readable by us alone; a public client has none.",
    )
    oidc_authorities: OptionalPath = Field(
        default=None, description="Certificates of who signs the provider's; else the machine's."
    )
    oidc_name_claim: NotEmpty = Field(
        default="preferred_username",
        description="Claim that names the user; the provider must let nobody choose it.",
    )
    oidc_groups_claim: NotEmpty = Field(
        default="groups", description="Claim that lists the user's groups, for group_roles."
    )

    @field_validator("oidc_client_id")
    @classmethod
    def _of_provider(cls, client_id: str, info: ValidationInfo) -> str:
        if bool(client_id) != bool(info.data.get("oidc_issuer")):
            raise ValueError("a name where there is an oidc_issuer, and only there")
        return client_id

    @field_validator("proxy_user_header")
    @classmethod
    def _of_proxies(cls, header: str, info: ValidationInfo) -> str:
        if header and not info.data.get("trusted_proxies"):
            raise ValueError("nothing, or trusted_proxies besides: anybody could send the header")
        return header

    @field_validator("proxy_groups_header")
    @classmethod
    def _beside_user(cls, header: str, info: ValidationInfo) -> str:
        if header and not info.data.get("proxy_user_header"):
            raise ValueError("nothing, or proxy_user_header besides")
        return header

    @field_validator("certificate")
    @classmethod
    def _needed(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        return _certificate_if_needed(file, info)

    @field_validator("key")
    @classmethod
    def _with_certificate(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        return _key_of_certificate(file, info)


class ReportsSettings(Section):
    """Signed reports of the information system as HL7 v2 messages (ORU^R01), by MLLP."""

    port: int = Field(default=0, ge=0, le=65535, description="TCP port they come to; 0 is off.")
    bind: NotEmpty = Field(default="127.0.0.1", description="Address it is on.")
    senders: Networks = Field(
        default=(),
        description="Addresses and networks that may send, separated by commas (10.1.0.7,"
        " 10.2.0.0/16); needed unless bind is a loopback address.",
    )
    tls: bool = Field(
        default=False,
        description="Whether it speaks TLS, and only TLS: with the files of [tls], and its"
        " verify_peers.",
    )
    unknown_days: float = Field(
        default=30.0,
        gt=0,
        le=36500,
        description="What a report says of a study that is not here is kept for so long, as the"
        " study may still come, days.",
    )

    @field_validator("senders")
    @classmethod
    def _needed(cls, senders: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if not senders and info.data.get("port") and not is_loopback(info.data.get("bind", "")):
            raise ValueError("addresses that may send, or a bind address that is loopback")
        return senders


class MonitoringSettings(Section):
    """Metrics for Prometheus and health of the node: /metrics, /healthz and /readyz."""

    port: int = Field(default=0, ge=0, le=65535, description="TCP port they are on; 0 is off.")
    bind: NotEmpty = Field(default="127.0.0.1", description="Address they are on.")
    certificate: OptionalPath = Field(
        default=None,
        description="Certificate and chain (PEM) for https; needed unless bind is a loopback"
        " address.",
    )
    key: OptionalPath = Field(default=None, description="Its key, readable by us alone.")

    @field_validator("certificate")
    @classmethod
    def _needed(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        return _certificate_if_needed(file, info)

    @field_validator("key")
    @classmethod
    def _with_certificate(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        return _key_of_certificate(file, info)


def _certificate_if_needed(file: Path | None, info: ValidationInfo) -> Path | None:
    if not file and info.data.get("port") and not is_loopback(info.data.get("bind", "")):
        raise ValueError("a file with a certificate, or a bind address that is loopback")
    return file


def _key_of_certificate(file: Path | None, info: ValidationInfo) -> Path | None:
    if "certificate" in info.data and bool(file) != bool(info.data["certificate"]):
        raise ValueError("a file where there is a certificate, and only there")
    return file
