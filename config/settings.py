"""Sections of the INI file: every key, its default and its meaning.

Only choices of the site. Parameters of the algorithm are in the model's manifest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import Field

from config.destinations import AnyDestination, Authenticated
from config.network import (
    ConsoleSettings,
    DicomWebSettings,
    MonitoringSettings,
    NodeSettings,
    ReportsSettings,
    TlsSettings,
)
from config.secret import access_key_in, database_url_in
from config.value_types import (
    AeTitles,
    ArchivesByAe,
    BucketUrl,
    DatabaseUrl,
    Endpoint,
    FilePath,
    Label,
    Model,
    OptionalDate,
    OptionalPath,
    OptionalServer,
    OptionalUid,
    Regex,
    Region,
    Scheduler,
    Seconds,
    SecondsByAe,
    SecondsOrNever,
    SecondsOrNeverByAe,
    Section,
    Threshold,
)
from config.worklist import WorklistSettings

DATABASE = "node.sqlite"  #: in the storage folder, where the settings name no other


class StorageSettings(Section):
    """Where instances, results and the database are kept."""

    folder: FilePath = Field(
        default=Path("dicom-node-data"),
        description="Folder of all data; relative to this file's folder.",
    )
    database_url: DatabaseUrl = Field(
        default="",
        repr=False,
        description="URL of the database: sqlite://// and an absolute path, or postgresql://USER@HOST/NAME;"
        " empty means SQLite in the folder.",
    )
    database_url_file: OptionalPath = Field(
        default=None,
        description="File with that URL instead, readable by us alone: passwords belong there.",
    )
    objects: BucketUrl = Field(
        default="",
        description="Bucket of an S3 service, such as s3://bucket/prefix, in which receivers that"
        " have no folder in common ([node] receiver) keep instances and results; the folder is"
        " then each receiver's own, and has copies. Empty keeps them in the folder.",
    )
    objects_endpoint: Endpoint = Field(
        default="",
        description="URL of that service, if it is not Amazon's.",
    )
    objects_region: Region = Field(
        default="",
        description="Region of the bucket; empty leaves it to the environment (AWS_REGION).",
    )
    objects_key_file: OptionalPath = Field(
        default=None,
        description="File of one line, ACCESS_KEY_ID:SECRET_ACCESS_KEY, readable by us alone;"
        " empty has the key found in the environment, or from the role of the host.",
    )
    migrate_at_start: bool = Field(
        default=True,
        description="Whether a start brings the tables of the database to this program's version;"
        " 'no' leaves it to `dicom-node upgrade`, which asks for a backup.",
    )
    reserve_gb: float = Field(
        default=2.0,
        ge=0,
        description="With less free space than this, instances are refused (status A700), GB;"
        " results may use three quarters of it, the rest is for the database.",
    )
    row_delay_seconds: Seconds = Field(
        default=60.0,
        description="While the rows of received instances cannot be written to the database for"
        " longer than this, further ones are refused (status A700); their senders try again.",
    )


class RetentionSettings(Section):
    """How long files are kept, and rows; later studies are compared with what rows say."""

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
    condense_days: float = Field(
        default=90.0,
        ge=0,
        le=36500,
        description="So long after the files of a series were removed, the rows of its images are"
        " made one, and those of the objects of a result that are alike, days; 0 never does. What"
        " comes again is still known.",
    )
    series_days: float = Field(
        default=0.0,
        ge=0,
        le=36500,
        description="Series of which no file is kept are forgotten so long after their end, with"
        " results and answers of readers, days; 0 never does. What comes again is new then.",
    )
    changes_days: float = Field(
        default=3650.0,
        ge=0,
        le=36500,
        description="Changes and logins of the console are forgotten after so long, days; 0 keeps"
        " them for ever.",
    )


class ClosingSettings(Section):
    """When a series counts as complete."""

    quiet_seconds: Seconds = Field(
        default=60.0, description="A series is closed when no instance has come for so long."
    )
    quiet_seconds_by_ae: SecondsByAe = Field(
        default_factory=dict,
        description="Other quiet times for single senders, such as CT1:120, ROUTER:30.",
    )
    quiet_seconds_regular: SecondsOrNever = Field(
        default=5.0,
        description="It is closed so soon already when every association that sent it has ended and"
        " its slices run evenly from outside the lungs to outside the lungs, or are as many as its"
        " headers announce; 0 never does.",
    )
    quiet_seconds_regular_by_ae: SecondsOrNeverByAe = Field(
        default_factory=dict,
        description="The same for single senders, such as CT1:2, ROUTER:0. Where that was too early"
        " once, the sender is given its whole quiet time for 30 days.",
    )
    ask: ArchivesByAe = Field(
        default_factory=dict,
        description="Archives that are asked (C-FIND) how many instances a series has, by its"
        " sender: CT1=PACS@pacs.example.org:104, separated by commas, '*' for all others. Best is"
        " the archive that sends it.",
    )
    notifications: bool = Field(
        default=True,
        description="Take Modality Performed Procedure Steps (MPPS) and Instance Availability"
        " Notifications from whoever may call: a series of which all named instances are here is"
        " closed at once.",
    )
    check_every_seconds: Seconds = Field(
        default=1.0, description="How often we look for series that are complete."
    )


class SelectionSettings(Section):
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
    switch: Literal["on", "hold", "off"] = Field(
        default="on",
        description="'hold': from now on no series is analysed, and no result leaves, those that"
        " are made already among them; all of it waits, and goes on with 'on'. 'off': series end as"
        " not analysed (`switched-off`), with a notice where not_analysed in [results] wants one;"
        " results that were made wait. Documents of readers are read all the same.",
    )
    expires: OptionalDate = Field(
        default=None,
        description="Last day, such as 2027-06-30, on which the model may analyse; a fault says so"
        " 30 days before. After it series wait until another day is set, or another model. Empty:"
        " it does not expire.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="'auto' (a GPU when there is one), 'cpu' or 'cuda'."
    )
    threshold: Threshold = Field(
        default="model",
        description="'model': three answers, below, indeterminate and above, by the model's"
        " prediction sets (a model without them has its operating point); or 0 to 1: two answers,"
        " above and not above.",
    )
    bounds_by_scanner: bool = Field(
        default=False,
        description="Take the bounds of the three answers from the scanner's group where the model"
        " has some for it (`dicom-node calibrate --by-scanner`), of any other series from all"
        " scanners; results say which. A threshold of your own goes before.",
    )
    urgent_aes: AeTitles = Field(
        default=(),
        description="AE titles whose series go before others, separated by commas; as do those"
        " sent with high priority, or whose Requested Procedure Priority is STAT or HIGH. Others"
        " wait half an hour longer for them at most.",
    )
    threads: int = Field(
        default=0,
        ge=0,
        description="CPU threads for the networks of an analysis; 0 takes all cores. Its other"
        " steps use two at most.",
    )
    lesions_when_negative: bool = Field(
        default=False, description="Localise lesions also when the answer is not above."
    )
    unreported_changes_percent: float = Field(
        default=1.0,
        ge=0,
        description="Results say that changes are present once what is not outlined takes this"
        " share of the lungs, %: lesions that are withheld, as the score is not above, and what"
        " is dense and no lesion in any...",
    )
    unreported_changes_ml: float = Field(
        default=3.0,
        ge=0,
        description="... or once one of them has this volume, ml. Nothing is outlined for that.",
    )
    lobes: bool = Field(
        default=False,
        description="Report the share of opacities lobe by lobe, and the CT severity score (0 to"
        " 25) where all five lobes are found: experimental, docs/tables/lobes.md. Takes some"
        " seconds more.",
    )


class ResultsSettings(Section):
    """What is written back to the PACS."""

    language: Literal["en", "de", "fr", "es"] = Field(
        default="en",
        description="Language of sentences and meanings of codes in the results: 'en', 'de', 'fr'"
        " or 'es'. Series Descriptions, logs and commands stay English.",
    )
    series_number_base: int = Field(
        default=9000,
        ge=1,
        le=999000,
        description="Series Numbers of results start here, ten for each series of the study"
        " in the order of arrival; tens that hold a received series are passed over.",
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
    heatmap_step_mm: float = Field(
        default=4.0,
        ge=0,
        le=50,
        description="Slices of the heatmap, all of them with lung, lie at least so far apart, mm,"
        " but every opacity is on one; 0 shows each slice with lung.",
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
        description="Send the activation as a Parametric Map (1 MB a slice of 512 x 512; a fortieth"
        " where it is sent compressed).",
    )
    parametric_map_columns: int = Field(
        default=4096,
        ge=16,
        le=4096,
        description="Wider parametric maps are reduced, pixels, and lie on the slices of the"
        " heatmap; OHIF shows only those that are not reduced.",
    )
    coarse_if_uncompressed: bool = Field(
        default=True,
        description="Make heatmap and parametric map coarse (128 and 64 columns, slices 8 mm apart)"
        " as long as a destination takes pictures uncompressed only, as it last said.",
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


class EngineSettings(Section):
    """Where analyses run."""

    scheduler: Scheduler = Field(
        default="embedded",
        description="'embedded' (a worker process here), or tls://host:port of a Dask scheduler.",
    )
    certificate: OptionalPath = Field(
        default=None,
        description="PEM files for TLS with that scheduler: our certificate and its chain. Whoever"
        " holds one of the same authorities can run code on every machine of the engine.",
    )
    key: OptionalPath = Field(default=None, description="Its key, readable by us alone.")
    authorities: OptionalPath = Field(
        default=None, description="Certificates of those who sign the engine's certificates."
    )
    fetch_folder: OptionalPath = Field(
        default=None,
        description="Of 'dicom-node worker': a folder of its own, into which it fetches the"
        " instances of each series from the node; empty where it sees the storage folder.",
    )
    memory_limit_gb: float = Field(
        default=0.0,
        ge=0,
        description="A worker above this is restarted, GB; 0 takes what the host has.",
    )
    task_timeout_seconds: Seconds = Field(
        default=900.0,
        description="An analysis that takes longer is given up and tried again; the time counts"
        " from its start, and only its worker is restarted.",
    )
    attempts: int = Field(default=3, ge=1, description="So many tries, then the series has failed.")
    retry_first_seconds: Seconds = Field(
        default=10.0,
        description="Wait before the second try, at another worker if there is one; each further"
        " wait is twice as long.",
    )


class DeliverySettings(Section):
    """How results are sent, and how often."""

    retry_first_seconds: Seconds = Field(default=5.0, description="Wait before the second try.")
    retry_factor: float = Field(
        default=2.0, ge=1, description="Each wait is so many times the last one."
    )
    retry_max_seconds: Seconds = Field(default=900.0, description="Longest wait between two tries.")
    give_up_after_hours: float = Field(
        default=72.0,
        gt=0,
        description="After so long, and the tries that half of it allows, a result is refused.",
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


class LogSettings(Section):
    """What is logged; never patient data."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="DEBUG, INFO, WARNING or ERROR."
    )
    format: Literal["json", "console"] = Field(
        default="json", description="'json' (one object a line) or 'console' (for people)."
    )
    file: OptionalPath = Field(
        default=None,
        description="File to which run, console and worker write it; empty for standard error. One"
        " that was moved away, as by logrotate, is begun anew.",
    )


class AuditSettings(Section):
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


class SelfTestSettings(Section):
    """Self-test: a synthetic series is sent to our own port, and judged by what comes of it."""

    every_hours: float = Field(
        default=0.0,
        ge=0,
        le=8760,
        description="A synthetic chest CT goes the whole way so often, hours, and again after 15"
        " minutes where that failed; 0 leaves it to `dicom-node selftest`. It leaves the node"
        " never, and is in no list. Where calling_aes are named, our own AE title must be one.",
    )
    within_minutes: float = Field(
        default=30.0,
        gt=0,
        le=1440,
        description="It has failed where its result is not there after so long, minutes; where its"
        " turn has not come by then, as it waits like any other series, it is given up, and that is"
        " no failure.",
    )
    needed_for_ready: bool = Field(
        default=False,
        description="Whether /readyz and `dicom-node ready` call the node not ready while the last"
        " self-test has failed, or none is fresh. Instances are taken all the same.",
    )


class NotifySettings(Section):
    """Messages to people and services, without patient data: e-mail, webhooks and more, by rule."""

    recipients_file: OptionalPath = Field(
        default=None,
        description="File with one rule a line, readable by us alone: subjects (faults, failures,"
        " backlog, positives, or all), a blank, and a URL of Apprise, such as"
        " `faults,failures mailtos://USER:PASSWORD@mail.example.org?to=it@example.org`. Needs"
        " pip install 'dicom-node[notify]'; empty tells nobody.",
    )
    backlog_minutes: float = Field(
        default=60.0,
        gt=0,
        description="A series, or a result for a destination, that waits for longer is told as a"
        " backlog, minutes.",
    )
    gap_minutes: float = Field(
        default=10.0,
        ge=1,
        description="Shortest time between two messages to one recipient, minutes; what comes"
        " meanwhile is in the next one.",
    )
    again_hours: float = Field(
        default=24.0,
        ge=0,
        description="What lasts is told again after so long, hours; 0 tells it once.",
    )


class DriftSettings(Section):
    """Scanners that change: new ones, other kernels and software, figures that drift."""

    action: Literal["note", "tell", "hold", "stop"] = Field(
        default="note",
        description="What is done until somebody accepts a change (`dicom-node drift accept`):"
        " 'note' it in the log, the metrics and `dicom-node drift`; 'tell' of it as a fault as"
        " well; 'hold' the results of that scanner back; 'stop' analysing its series. It is done"
        " about what is found from then on.",
    )
    reference_series: int = Field(
        default=200,
        ge=50,
        le=2000,
        description="A scanner is compared with its first series, so many of them; a figure that"
        " fewer than 50 of them have is not watched.",
    )


class ShadowSettings(Section):
    """A second model beside the one in use: it analyses, delivers nothing, and is compared."""

    model: OptionalPath = Field(
        default=None,
        description="Folder of a second model: whenever nothing else is to be analysed, it is given"
        " the series of the latest 7 days whose results have left, the latest first; its figures"
        " are kept for `dicom-node shadow`, and nothing else. Empty has none.",
    )
    least_patients: int = Field(
        default=200,
        ge=20,
        description="Gate of `dicom-node shadow`: patients in whom both models were compared, at"
        " least.",
    )
    least_labelled: int = Field(
        default=30,
        ge=10,
        description="Likewise, patients with and patients without the disease, as final diagnoses"
        " or readers say, at least so many of each.",
    )
    auc_margin: float = Field(
        default=0.05,
        gt=0,
        le=0.2,
        description="Likewise: the area under the ROC curve of the second model may be smaller by"
        " so much at most, by the lower end of the 95 % interval of the difference.",
    )
    most_changed_percent: float = Field(
        default=20.0,
        gt=0,
        le=100,
        description="Likewise: patients whose answer is another, by the upper end of the 95 %"
        " interval, %.",
    )
    most_failed_percent: float = Field(
        default=2.0,
        gt=0,
        le=100,
        description="Likewise: series in which the second model found nothing where the one in use"
        " did, by the upper end of the 95 % interval, %.",
    )


class Settings(Section):
    """All settings of a node."""

    node: NodeSettings = NodeSettings()
    tls: TlsSettings = TlsSettings()
    dicomweb: DicomWebSettings = DicomWebSettings()
    reports: ReportsSettings = ReportsSettings()
    console: ConsoleSettings = ConsoleSettings()
    storage: StorageSettings = StorageSettings()
    retention: RetentionSettings = RetentionSettings()
    closing: ClosingSettings = ClosingSettings()
    selection: SelectionSettings = SelectionSettings()
    analysis: AnalysisSettings = AnalysisSettings()
    results: ResultsSettings = ResultsSettings()
    engine: EngineSettings = EngineSettings()
    delivery: DeliverySettings = DeliverySettings()
    log: LogSettings = LogSettings()
    audit: AuditSettings = AuditSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    selftest: SelfTestSettings = SelfTestSettings()
    drift: DriftSettings = DriftSettings()
    shadow: ShadowSettings = ShadowSettings()
    notify: NotifySettings = NotifySettings()
    worklist: WorklistSettings = WorklistSettings()
    destinations: tuple[AnyDestination, ...] = ()

    @property
    def secrets(self) -> dict[str, Path]:
        """Files that only the node's user should read, by section and key."""
        files = {
            "[tls] key": self.tls.key,
            "[engine] key": self.engine.key,
            "[dicomweb] token_file": self.dicomweb.token_file,
            "[console] key": self.console.key,
            "[monitoring] key": self.monitoring.key,
            "[console] oidc_password_file": self.console.oidc_password_file,
            "[notify] recipients_file": self.notify.recipients_file,
            "[storage] database_url_file": self.storage.database_url_file,
            "[storage] objects_key_file": self.storage.objects_key_file,
        }
        for destination in self.destinations:
            if isinstance(destination, Authenticated):
                section = f"[destination {destination.name}]"
                files[f"{section} password_file"] = destination.password_file
                files[f"{section} token_file"] = destination.token_file
        return {name: file for name, file in files.items() if file is not None}

    @property
    def objects_key(self) -> tuple[str, str]:
        """Access key of the bucket, identifier and secret; empty where it is found elsewhere.

        Raises
        ------
        SettingsError
            If it is in a file that cannot be used.
        """
        file = self.storage.objects_key_file
        return ("", "") if file is None else access_key_in(file)

    @property
    def database_url(self) -> str:
        """URL of the database: the configured one, or SQLite in the storage folder.

        Raises
        ------
        SettingsError
            If it is in a file that cannot be used.
        """
        if self.storage.database_url_file is not None:
            return database_url_in(self.storage.database_url_file)
        path = quote((self.storage.folder / DATABASE).as_posix(), safe="/ :")
        return self.storage.database_url or f"sqlite:///{path}"
