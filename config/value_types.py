"""Types of the values of INI keys, which convert and check their text.

Every error message completes the sentence "expected …".
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from config.secret import DATABASE_URL, DATABASE_URL_FORM

MAX_AE_TITLE = 16  #: bytes, DICOM PS3.5 6.2, value representation AE
MAX_SHORT = 16  #: characters, DICOM PS3.5 6.2, value representation SH
MAX_LABEL = 64  #: characters, DICOM PS3.5 6.2, value representation LO
MAX_PORT = 65535
RECEIVER_NAME = "[A-Za-z0-9][A-Za-z0-9-]{0,31}"  #: names files, and a row of the database
BUCKET = "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"  #: Amazon S3 User Guide, "bucket naming rules"
KEY_PART = "[A-Za-z0-9][A-Za-z0-9._-]*"  #: between two slashes of a prefix, of safe characters
HOST_LABEL = "[A-Za-z0-9_-]{1,63}"  #: of a host name, RFC 1123 2.1
HOST = (
    rf"(\[[0-9A-Fa-f:.]+\]|{HOST_LABEL}(\.{HOST_LABEL})*)"  #: RFC 3986 3.2.2: IPv6 address, or name
)


def _ae_title(text: str) -> str:
    """Check an AE title (DICOM PS3.5 6.2: default repertoire, no backslash, no control code)."""
    allowed = all(" " <= character <= "~" and character != "\\" for character in text)
    if not (1 <= len(text) <= MAX_AE_TITLE and allowed and text == text.strip()):
        raise ValueError(
            "an AE title: 1 to 16 ASCII characters, no backslash, no blank at either end"
        )
    return text


def _caller(text: str) -> str:
    """Check an AE title, ``TITLE@address`` or ``TITLE@network/bits``."""
    title, at, network = text.rpartition("@")
    if not at:
        return _ae_title(text)
    try:
        ipaddress.ip_network(network.strip(), strict=False)
    except ValueError as error:
        raise ValueError("an IP address or network behind '@', as in CT1@10.1.0.0/16") from error
    return f"{_ae_title(title.strip())}@{network.strip()}"


def _network(text: str) -> str:
    """Check an address, or a network."""
    expected = "IP addresses or networks, such as 10.1.0.7, 10.2.0.0/16, and never all addresses"
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError(expected) from error
    if not network.prefixlen:
        raise ValueError(expected)
    return text


def _header_name(text: str) -> str:
    """Check the name of a header (RFC 9110 5.6.2), or nothing."""
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^`|~-]*", text):
        raise ValueError("nothing, or the name of a header, such as X-Remote-User")
    return text.lower()


def _group_roles(text: object) -> object:
    """Split ``radiology=reader, *=viewer`` into group and role."""
    if not isinstance(text, str):
        return text
    pairs: dict[str, str] = {}
    for part in filter(None, map(str.strip, re.split(r"[,\n]", text))):
        group, equals, role = (piece.strip() for piece in part.rpartition("="))
        if not equals or not group or group in pairs:
            raise ValueError(
                "GROUP=ROLE pairs such as 'radiology=reader, pacs=admin', each group once, '*' for"
                " everybody"
            )
        pairs[group] = role
    return pairs


def _listener(text: str) -> str:
    """Check ``TITLE@host:port``."""
    title, _, where = text.rpartition("@")
    host, _, port = where.rpartition(":")
    if not (host and port.isdecimal() and 1 <= int(port) <= MAX_PORT):
        raise ValueError("an AE title with host and port, as in CT1@ct1.example.org:104")
    return f"{_ae_title(title.strip())}@{where.strip()}"


def _optional_listener(text: str) -> str:
    """Check ``TITLE@host:port``, or nothing."""
    return _listener(text) if text else text


def _coded_workitem(text: str) -> str:
    """Check ``VALUE^SCHEME`` (DICOM PS3.3 8: Code Value, Coding Scheme Designator), or nothing."""
    value, hat, scheme = text.partition("^")
    if text and not (hat and _is_short(value) and _is_short(scheme)):
        raise ValueError("nothing, or code value and coding scheme, as in 110005^DCM")
    return text


def _station_name(text: str) -> str:
    """Check a code value (DICOM PS3.3 8.1), or nothing."""
    if text and not _is_short(text):
        raise ValueError(f"nothing, or a code value of at most {MAX_SHORT} ASCII characters")
    return text


def _is_short(text: str) -> bool:
    """Tell whether text is a Short String in ASCII (DICOM PS3.5 6.2), with no wild card."""
    allowed = all(" " < character <= "~" and character not in "\\^*?" for character in text)
    return 1 <= len(text) <= MAX_SHORT and allowed


def _server(text: str) -> str:
    """Check ``host:port``, or nothing."""
    host, _, port = text.rpartition(":")
    if text and not (host and port.isdecimal() and 1 <= int(port) <= MAX_PORT):
        raise ValueError("nothing, or a host and port, as in syslog.example.org:6514")
    return text


def _required_server(text: str) -> str:
    """Check ``host:port``."""
    host, _, port = text.rpartition(":")
    if not (host and port.isdecimal() and 1 <= int(port) <= MAX_PORT):
        raise ValueError("a host and port, as in ris.example.org:2575")
    return text


def _application(text: str) -> str:
    """Check the name of an application or a facility (HL7 2.5.1, HD: one component), or nothing."""
    if not all(" " <= character <= "~" and character not in "|^~\\&" for character in text):
        raise ValueError("printable ASCII characters, none of | ^ ~ & and backslash")
    return text


def is_loopback(host: str) -> bool:
    """Tell whether an address is reachable from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _parts(text: object) -> object:
    """Split text at commas and line ends; other values stay as they are."""
    if not isinstance(text, str):
        return text
    return tuple(part.strip() for part in re.split(r"[,\n]", text) if part.strip())


def _seconds_by_ae(text: object) -> object:
    """Split ``CT1:120, ROUTER:30`` into ``{"CT1": "120", "ROUTER": "30"}``."""
    if not isinstance(text, str):
        return text
    pairs: dict[str, str] = {}
    for part in re.split(r"[,\n]", text):
        title, colon, seconds = (piece.strip() for piece in part.rpartition(":"))
        if part.strip() and (not colon or title in pairs):
            raise ValueError("AE:seconds pairs such as 'CT1:120, ROUTER:30', each AE once")
        if part.strip():
            pairs[title] = seconds
    return pairs


def _archives_by_ae(text: object) -> object:
    """Split ``CT1=PACS@pacs.example.org:104, *=PACS@...`` into sender and archive."""
    if not isinstance(text, str):
        return text
    pairs: dict[str, str] = {}
    for part in filter(None, map(str.strip, re.split(r"[,\n]", text))):
        sender, equals, listener = (piece.strip() for piece in part.partition("="))
        if not equals or sender in pairs:
            raise ValueError(
                "SENDER=ARCHIVE@host:port pairs such as 'CT1=PACS@pacs.example.org:104', each"
                " sender once, '*' for all others"
            )
        pairs[sender] = listener
    return pairs


def _regex(text: str) -> str:
    """Check that text compiles as a regular expression."""
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"a regular expression ({error})") from error
    return text


def _threshold(text: object) -> object:
    """Convert to ``model``, or a number from 0 to 1."""
    if text == "model":
        return text
    try:
        number = float(str(text))
    except ValueError:
        number = -1.0
    if not 0.0 <= number <= 1.0:
        raise ValueError("'model', or a number from 0 to 1")
    return number


def _date(text: object) -> object:
    """Convert to a date, or to none."""
    if text is None or isinstance(text, date):
        return text
    try:
        return date.fromisoformat(str(text)) if text else None
    except ValueError as error:
        raise ValueError("nothing, or a date such as 2027-06-30") from error


def _scheduler(text: str) -> str:
    """Check ``embedded``, or ``tls://host:port``."""
    if text != "embedded" and not re.fullmatch(r"tls://[^\s/:]+:\d{1,5}", text):
        raise ValueError("'embedded', or tls://host:port")
    return text


def _database_url(text: str) -> str:
    """Check the URL of a supported database, or nothing."""
    if text and not DATABASE_URL.match(text):
        raise ValueError(f"nothing, or {DATABASE_URL_FORM}")
    return text


def _bucket_url(text: str) -> str:
    """Check the URL of a bucket, or nothing."""
    if text and not re.fullmatch(rf"s3://{BUCKET}(/{KEY_PART})*/?", text):
        raise ValueError("nothing, or s3://bucket or s3://bucket/prefix")
    return text.rstrip("/")


def _endpoint(text: str) -> str:
    """Check the URL of a service, or nothing."""
    if text and not re.fullmatch(rf"https?://{HOST}(:\d{{1,5}})?/?", text):
        raise ValueError("nothing, or https://host or https://host:port")
    return text.rstrip("/")


def _region(text: str) -> str:
    """Check the name of a region, or nothing."""
    if not re.fullmatch(r"[A-Za-z0-9-]{0,64}", text):
        raise ValueError("nothing, or a name such as eu-central-1")
    return text


def _web_url(text: str) -> str:
    """Check the address of a web service, which must hold no secret."""
    found = re.fullmatch(rf"https?://{HOST}(:(?P<port>\d{{1,5}}))?(/[^\s@?#]*)?", text)
    if found is None or not 1 <= int(found["port"] or 1) <= MAX_PORT:
        raise ValueError("https://host/path or http://host:port/path, without user or query")
    if text.rstrip("/").endswith("/studies"):
        raise ValueError("the address of the service, without the /studies that is added to it")
    return text.rstrip("/")


def _issuer(text: str) -> str:
    """Check the address of an OpenID provider, or nothing: https, or on this machine."""
    found = re.fullmatch(rf"(https?)://(?P<host>{HOST})(:\d{{1,5}})?(/[^\s@?#]*)?", text)
    if text and (found is None or (found[1] == "http" and not is_loopback(found["host"]))):
        raise ValueError("nothing, or https://host/path, without user or query")
    return text


def _user(text: str) -> str:
    """Check a user name for a web service, or nothing (RFC 7617, section 2: no colon)."""
    if not all(" " <= character <= "~" and character != ":" for character in text):
        raise ValueError("a user in ASCII, without ':'")
    return text


def _uid(text: str) -> str:
    """Check a UID, or nothing (DICOM PS3.5 9.1: at most 64 characters, no leading zeros)."""
    if text and not (len(text) <= 64 and re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+", text)):
        raise ValueError("nothing, or a UID of at most 64 digits and dots")
    return text


def _receiver_name(text: str) -> str:
    """Check the name of a receiver, or nothing."""
    if text and not re.fullmatch(RECEIVER_NAME, text):
        raise ValueError("nothing, or 1 to 32 letters, digits or '-', the first no '-'")
    return text


def _label(text: str) -> str:
    """Check a Long String that every Specific Character Set can encode (DICOM PS3.5 6.2)."""
    allowed = all(" " <= character <= "~" and character != "\\" for character in text)
    if not (1 <= len(text) <= MAX_LABEL and allowed and text == text.strip()):
        raise ValueError(
            "1 to 64 printable ASCII characters, no backslash, no blank at either end: it is"
            " written into objects of any character set"
        )
    return text


def _absolute(path: Path, info: ValidationInfo) -> Path:
    """Make a path absolute: a relative one starts at the folder of the INI file, and is not it."""
    if path.name in {"", ".."}:
        raise ValueError("a path that ends in the name of a file or folder")
    folder = (info.context or {}).get("folder")
    return path.expanduser() if folder is None else Path(folder) / path.expanduser()


def _absolute_if_any(path: Path | None, info: ValidationInfo) -> Path | None:
    return path and _absolute(path, info)


def _model(text: object) -> object:
    """Convert to ``bundled``, or a folder."""
    return text if text == "bundled" else Path(str(text))


def _folder(value: Literal["bundled"] | Path, info: ValidationInfo) -> Literal["bundled"] | Path:
    return _absolute(value, info) if isinstance(value, Path) else value


AeTitle = Annotated[str, AfterValidator(_ae_title)]
AeTitles = Annotated[tuple[AeTitle, ...], BeforeValidator(_parts)]


def _host(text: str) -> str:
    if not re.fullmatch(HOST, text):
        raise ValueError("a host name or an address")
    return text.strip("[]").lower()


Callers = Annotated[tuple[Annotated[str, AfterValidator(_caller)], ...], BeforeValidator(_parts)]
Listeners = Annotated[
    tuple[Annotated[str, AfterValidator(_listener)], ...], BeforeValidator(_parts)
]
OptionalListener = Annotated[str, AfterValidator(_optional_listener)]
CodedWorkitem = Annotated[str, AfterValidator(_coded_workitem)]
StationName = Annotated[str, AfterValidator(_station_name)]
Server = Annotated[str, AfterValidator(_required_server)]
Application = Annotated[str, Field(max_length=64), AfterValidator(_application)]
OptionalServer = Annotated[str, AfterValidator(_server)]
Seconds = Annotated[float, Field(gt=0)]
SecondsByAe = Annotated[Mapping[AeTitle, Seconds], BeforeValidator(_seconds_by_ae)]
SecondsOrNever = Annotated[float, Field(ge=0)]
SecondsOrNeverByAe = Annotated[Mapping[AeTitle, SecondsOrNever], BeforeValidator(_seconds_by_ae)]
ArchivesByAe = Annotated[
    Mapping[AeTitle, Annotated[str, AfterValidator(_listener)]], BeforeValidator(_archives_by_ae)
]
Port = Annotated[int, Field(ge=1, le=MAX_PORT)]
FilePath = Annotated[Path, AfterValidator(_absolute)]
HostNames = Annotated[tuple[Annotated[str, AfterValidator(_host)], ...], BeforeValidator(_parts)]
Networks = Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], BeforeValidator(_parts)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
GroupRoles = Annotated[
    Mapping[str, Literal["viewer", "reader", "admin"]], BeforeValidator(_group_roles)
]
OptionalPath = Annotated[
    Path | None, BeforeValidator(lambda text: text or None), AfterValidator(_absolute_if_any)
]
Model = Annotated[Literal["bundled"] | Path, BeforeValidator(_model), AfterValidator(_folder)]
Regex = Annotated[str, AfterValidator(_regex)]
Threshold = Annotated[Literal["model"] | float, BeforeValidator(_threshold)]
OptionalDate = Annotated[date | None, BeforeValidator(_date)]
Scheduler = Annotated[str, AfterValidator(_scheduler)]
BucketUrl = Annotated[str, AfterValidator(_bucket_url)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
Region = Annotated[str, AfterValidator(_region)]
DatabaseUrl = Annotated[str, AfterValidator(_database_url)]
OptionalUser = Annotated[str, AfterValidator(_user)]
IssuerUrl = Annotated[str, AfterValidator(_issuer)]
WebUrl = Annotated[str, AfterValidator(_web_url)]
OptionalUid = Annotated[str, AfterValidator(_uid)]
NotEmpty = Annotated[str, Field(min_length=1, max_length=64)]
Label = Annotated[str, AfterValidator(_label)]
ReceiverName = Annotated[str, AfterValidator(_receiver_name)]


class Section(BaseModel):
    """One section of the INI file: frozen, and without unknown keys."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_default=True,
        hide_input_in_errors=True,
        protected_namespaces=(),
    )
