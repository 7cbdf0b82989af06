"""What an administrator may change: every key, its default and its meaning.

Site choices only. What belongs to the algorithm travels with the model's manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
)

from config.secret import database_url_in
from config.values import (
    AeTitle,
    AeTitles,
    Callers,
    DatabaseUrl,
    FilePath,
    Label,
    Listeners,
    Model,
    NotEmpty,
    OptionalPath,
    OptionalServer,
    OptionalUid,
    OptionalUser,
    Port,
    Regex,
    Scheduler,
    Seconds,
    SecondsByAe,
    Threshold,
    WebUrl,
    is_loopback,
)


class Section(BaseModel):
    """One section of the INI file: frozen, and it knows no other keys than its own."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_default=True,
        hide_input_in_errors=True,
        protected_namespaces=(),
    )


class Node(Section):
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
    commitment_peers: Listeners = Field(
        default=(),
        description="Where senders hear our answers to their requests for storage commitment, if"
        " they close the association (CT1@ct1.example.org:104), separated by commas.",
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
    maximum_pdu_size: int = Field(
        default=131072,
        ge=4096,
        le=4194304,
        description="Largest PDU we accept, bytes.",
    )
    network_timeout_seconds: Seconds = Field(
        default=60.0, description="An association that is silent for so long is closed."
    )


class Tls(Section):
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


class DicomWeb(Section):
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


class Storage(Section):
    """Where instances, results and the database are kept."""

    folder: FilePath = Field(
        default=Path("dicom-node-data"),
        description="Folder of all data; relative to this file's folder.",
    )
    database_url: DatabaseUrl = Field(
        default="",
        repr=False,
        description="SQLAlchemy URL of the database; empty means SQLite in the folder.",
    )
    database_url_file: OptionalPath = Field(
        default=None,
        description="File with that URL instead, readable by us alone: passwords belong there.",
    )
    reserve_gb: float = Field(
        default=2.0,
        ge=0,
        description="With less free space than this, instances are refused (status A700), GB;"
        " results may use three quarters of it, the rest is for the database.",
    )


class Retention(Section):
    """How long files are kept; rows stay, so that later studies can be compared with them."""

    keep_days: float = Field(
        default=30.0,
        ge=0,
        le=36500,
        description="Instances and results are removed so long after all was delivered, or after"
        " the series was found unsuitable or failed, days; 0 keeps them for ever.",
    )
    disk_pressure_gb: float = Field(
        default=0.0,
        ge=0,
        description="With less than this free above the reserve, delivered series are removed"
        " before their time, the oldest first, GB; 0 never does.",
    )
    quarantine_days: float = Field(
        default=90.0,
        ge=0,
        le=36500,
        description="Files in quarantine are removed after so long, days; 0 keeps them for ever.",
    )


class Closing(Section):
    """When a series counts as complete."""

    quiet_seconds: Seconds = Field(
        default=60.0, description="A series is closed when no instance has come for so long."
    )
    quiet_seconds_by_ae: SecondsByAe = Field(
        default_factory=dict,
        description="Other quiet times for single senders, such as CT1:120, ROUTER:30.",
    )
    check_every_seconds: Seconds = Field(
        default=2.0, description="How often we look for quiet series."
    )


class Selection(Section):
    """Which series are analysed; the others end as unsuitable, with the reason."""

    min_slices: int = Field(default=30, ge=1, description="Fewest slices.")
    max_spacing_mm: float = Field(
        default=5.0, gt=0, description="Largest distance between neighbouring slices, mm."
    )
    min_coverage_mm: float = Field(
        default=150.0, ge=0, description="Shortest extent from the first to the last slice, mm."
    )
    require_original: bool = Field(
        default=True, description="Take only series whose Image Type says ORIGINAL."
    )
    exclude_description: Regex = Field(
        default="",
        description="Leave out series whose Series Description matches this regular expression.",
    )


class AnalysisSettings(Section):
    """How series are analysed."""

    model: Model = Field(
        default="bundled",
        description="'bundled', or a folder with a model manifest and its weights.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="'auto' (a GPU when there is one), 'cpu' or 'cuda'."
    )
    threshold: Threshold = Field(
        default="model",
        description="Scores above it are called positive: 'model' (its operating point) or 0 to 1.",
    )
    urgent_aes: AeTitles = Field(
        default=(),
        description="AE titles whose series go before others, separated by commas; as do those"
        " sent with high priority, or whose Requested Procedure Priority is STAT or HIGH. Others"
        " wait half an hour longer for them at most.",
    )
    threads: int = Field(
        default=0, ge=0, description="CPU threads for an analysis; 0 takes all cores."
    )
    lesions_when_negative: bool = Field(
        default=False, description="Localise lesions also when the score is below the threshold."
    )


class Results(Section):
    """What is written back to the PACS."""

    series_number_base: int = Field(
        default=9000,
        ge=1,
        le=999000,
        description="Series Numbers of results start here; those of a source series without"
        " a number lie between 1000000 and 1999999, by its UID.",
    )
    manufacturer: Label = Field(
        default="dicom-node", description="Manufacturer in the results, in ASCII."
    )
    device_serial: Label = Field(
        default="0", description="Device Serial Number in the results, in ASCII."
    )
    device_uid: OptionalUid = Field(
        default="",
        description="Device UID in the results; empty derives one from this installation, the AE"
        " title and the model.",
    )
    segmentation: Literal["binary", "labelmap", "no"] = Field(
        default="binary",
        description="Segmentation of lungs and opacities: 'binary', 'labelmap' (one label a"
        " voxel; few archives and viewers know it) or 'no'.",
    )
    empty_frames: bool = Field(
        default=False, description="Keep frames of the Segmentation that hold nothing."
    )
    heatmap: Literal["single-frame", "multi-frame", "no"] = Field(
        default="single-frame",
        description="Heatmap over the CT: 'single-frame', 'multi-frame' or 'no'.",
    )
    heatmap_columns: int = Field(
        default=256, ge=64, le=4096, description="Wider heatmaps are reduced, pixels."
    )
    summary: bool = Field(
        default=True, description="Send a summary page, the first series of the results."
    )
    summary_pdf: bool = Field(default=False, description="Send the page as a PDF as well.")
    text_report: bool = Field(
        default=True, description="Send a short report in sentences beside the measurements."
    )
    parametric_map: bool = Field(
        default=False,
        description="Send the activation as a Parametric Map (1 MB a slice of 512 x 512).",
    )
    key_images: bool = Field(
        default=False, description="Send a Key Object Selection of the most affected slices."
    )
    not_analysed: Literal["all", "relevant", "no"] = Field(
        default="relevant",
        description="Send a short report why a series was not analysed: of 'all' series, of"
        " 'relevant' ones (no localizers, derived images and the like), or 'no'.",
    )
    priors: bool = Field(
        default=True, description="Compare with this node's earlier results of the same patient."
    )


class Engine(Section):
    """Where analyses run."""

    scheduler: Scheduler = Field(
        default="embedded",
        description="'embedded' (a worker process here), or tls://host:port of a Dask scheduler.",
    )
    memory_limit_gb: float = Field(
        default=0.0,
        ge=0,
        description="A worker above this is restarted, GB; 0 takes what the host has.",
    )
    task_timeout_seconds: Seconds = Field(
        default=900.0, description="An analysis that takes longer is given up and tried again."
    )
    attempts: int = Field(default=3, ge=1, description="So many tries, then the series has failed.")


class Delivery(Section):
    """How results are sent, and how often."""

    retry_first_seconds: Seconds = Field(default=5.0, description="Wait before the second try.")
    retry_factor: float = Field(
        default=2.0, ge=1, description="Each wait is so many times the last one."
    )
    retry_max_seconds: Seconds = Field(default=900.0, description="Longest wait between two tries.")
    give_up_after_hours: float = Field(
        default=72.0, gt=0, description="After so long a result counts as refused."
    )
    verify_again_hours: float = Field(
        default=6.0,
        gt=0,
        description="A destination that does not say whether it keeps what it accepted (see verify)"
        " is asked again after so long, four times in all; then its acceptance must do, and status"
        " says so.",
    )
    check_every_seconds: Seconds = Field(
        default=2.0, description="How often we look for due deliveries."
    )


class Log(Section):
    """What is logged; never patient data."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="DEBUG, INFO, WARNING or ERROR."
    )
    format: Literal["json", "console"] = Field(
        default="json", description="'json' (one object a line) or 'console' (for people)."
    )


class Audit(Section):
    """Events for an auditor (DICOM PS3.15 A.5): who sent and received, what was removed."""

    syslog: OptionalServer = Field(
        default="",
        description="Syslog server that is told, such as syslog.example.org:6514; empty tells none."
        " Nothing waits for it: what it cannot take is kept for a while, then dropped and counted.",
    )
    protocol: Literal["udp", "tcp", "tls"] = Field(
        default="tls",
        description="'tls' (RFC 5425, with the files of [tls]), 'tcp' or 'udp' (not encrypted).",
    )


class Destination(Section):
    """What receivers of results have in common."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="NAME of the section.")
    timeout_seconds: Seconds = Field(
        default=30.0, description="How long we wait for each of its answers."
    )
    enabled: bool = Field(default=True, description="Whether results are sent to it.")


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
        " starts with https. Such a section has these keys besides: timeout_seconds, enabled, user,"
        " password_file, token_file."
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
    """Tell a destination by its keys: one with a url is reached by DICOMweb."""
    keys = value if isinstance(value, Mapping) else vars(value)
    return "web" if "url" in keys else "dicom"


AnyDestination = Annotated[
    Annotated[DicomDestination, Tag("dicom")] | Annotated[WebDestination, Tag("web")],
    Discriminator(_kind),
]


class Settings(Section):
    """All settings of a node."""

    node: Node = Node()
    tls: Tls = Tls()
    dicomweb: DicomWeb = DicomWeb()
    storage: Storage = Storage()
    retention: Retention = Retention()
    closing: Closing = Closing()
    selection: Selection = Selection()
    analysis: AnalysisSettings = AnalysisSettings()
    results: Results = Results()
    engine: Engine = Engine()
    delivery: Delivery = Delivery()
    log: Log = Log()
    audit: Audit = Audit()
    destinations: tuple[AnyDestination, ...] = ()

    @property
    def database_url(self) -> str:
        """The database to use: the configured one, or SQLite in the storage folder.

        Raises
        ------
        SettingsError
            If it is in a file that cannot be used.
        """
        if self.storage.database_url_file is not None:
            return database_url_in(self.storage.database_url_file)
        path = quote((self.storage.folder / "node.sqlite").as_posix(), safe="/ :")
        return self.storage.database_url or f"sqlite:///{path}"
