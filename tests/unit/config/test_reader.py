"""Reading the INI file: types, defaults, and all faults at once."""

from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from config import Fault, Settings, SettingsError, load
from config.destinations import Destination, DicomDestination, Hl7Destination, WebDestination
from config.reader import DESTINATIONS, SECTIONS

ALONE = [("storage", "folder"), ("analysis", "model")]  #: paths without which nothing goes
WEB = "[destination WEB]\nurl = https://pacs.invalid/d\n"
PACS = "[destination PACS]\nae_title = PACS\nhost = pacs\nport = 104\n"


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    return tmp_path / "node.ini"


def faults(ini: Path, text: str) -> dict[tuple[str, str], Fault]:
    ini.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(ini)
    return {(fault.section, fault.key): fault for fault in caught.value.faults}


def read(ini: Path, text: str) -> Settings:
    ini.write_text(text)
    return load(ini)


def test_empty_file_means_every_default(ini: Path) -> None:
    settings = read(ini, "")
    assert settings.node.ae_title == "AINODE"
    assert settings.node.port == 11112
    assert settings.storage.folder == ini.parent / "dicom-node-data"
    assert settings.database_url == f"sqlite:///{ini.parent}/dicom-node-data/node.sqlite"
    assert (settings.node.calling_aes, settings.closing.quiet_seconds_by_ae) == ((), {})
    assert settings.destinations == ()


def test_every_key_but_those_of_a_destination_has_a_default_and_a_meaning() -> None:
    for model in [*SECTIONS.values(), *DESTINATIONS.values()]:
        for key, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{key}"
            if not issubclass(model, Destination):
                assert not field.is_required(), f"{model.__name__}.{key}"


def test_values_have_their_types(ini: Path) -> None:
    settings = read(
        ini,
        "[node]\nCALLING_AES = CT1, CT 2,\n  ROUTER\nrequire_called_ae = no\n"
        "[closing]\nquiet_seconds_by_ae = CT1:120, A:B:0.5\n"
        "quiet_seconds_regular = 0\nquiet_seconds_regular_by_ae = CT1:2, ROUTER:0\n"
        "ask = CT 1=PACS@[::1]:104, *=OTHER@pacs.example.org:11112\n"
        "[storage]\nfolder = /data\ndatabase_url = postgresql+psycopg://node@db/node\n"
        "[analysis]\nmodel = models/new\nthreshold = 0.25\n"
        "[selection]\nexclude_description = (?i)lung|100%\n" + PACS,
    )
    assert settings.node.calling_aes == ("CT1", "CT 2", "ROUTER")
    assert settings.node.require_called_ae is False
    assert settings.closing.quiet_seconds_by_ae == {"CT1": 120.0, "A:B": 0.5}
    assert settings.closing.quiet_seconds_regular == 0
    assert settings.closing.quiet_seconds_regular_by_ae == {"CT1": 2.0, "ROUTER": 0.0}
    assert settings.closing.ask == {
        "CT 1": "PACS@[::1]:104",
        "*": "OTHER@pacs.example.org:11112",
    }
    assert settings.storage.folder == Path("/data")
    assert settings.database_url == "postgresql+psycopg://node@db/node"
    assert settings.analysis.model == ini.parent / "models/new"
    assert settings.analysis.threshold == 0.25
    assert settings.selection.exclude_description == "(?i)lung|100%"
    assert settings.destinations == (
        DicomDestination(name="PACS", ae_title="PACS", host="pacs", port=104),
    )


PATHS = [
    (section, key)
    for section, model in SECTIONS.items()
    for key, field in model.model_fields.items()
    if Path in {field.annotation, *get_args(field.annotation)}
]


@pytest.mark.parametrize("place", PATHS, ids=".".join)
def test_a_path_is_never_the_folder_of_the_ini_file(ini: Path, place: tuple[str, str]) -> None:
    section, key = place
    for text in (".", "./", "..", "data/..", "/"):
        assert place in faults(ini, f"[{section}]\n{key} = {text}\n")


def test_an_empty_path_is_none_or_is_refused(ini: Path) -> None:
    found = faults(ini, "".join(f"[{section}]\n{key} =\n" for section, key in ALONE))
    assert set(found) == set(ALONE)
    assert str(found["storage", "folder"]) == (
        "[storage] folder: expected a path that ends in the name of a file or folder, got ''"
    )
    for section, key in set(PATHS) - set(ALONE):
        settings = read(ini, f"[{section}]\n{key} =\n")
        assert getattr(getattr(settings, section), key) is None


@pytest.mark.parametrize(
    "text",
    [
        "file = node.ini\n",
        "file = sub/../node.ini\n",
        "file = data/node.sqlite\n[storage]\nfolder = data\n",
        "file = /x/a.sqlite\n[storage]\ndatabase_url = sqlite:////x/a.sqlite\n",
        "file = key.pem\n[engine]\nkey = key.pem\n",
        f"file = token\n{WEB}token_file = token\n",
    ],
)
def test_the_log_has_a_file_of_its_own(ini: Path, text: str) -> None:
    (ini.parent / "sub").mkdir()
    found = faults(ini, f"[log]\n{text}")
    assert set(found) == {("log", "file")}
    assert found["log", "file"].expected == "a file of its own"
    assert read(ini, f"[log]\nfile = node.log\n{PACS}").log.file == ini.parent / "node.log"


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().node.port = 1  # frozen: that is the test


def test_all_faults_come_at_once_by_section_and_key(ini: Path) -> None:
    found = faults(
        ini,
        "[node]\nae_title = MUCH TOO LONG A TITLE\nprot = 1\nport = many\n"
        "[nodes]\nx = 1\n[DEFAULT]\ny = 1\n"
        "[destination PACS]\nae_title = A\\B\nhost =\n"
        "[destination a b]\nae_title = X\nhost = h\nport = 70000\n",
    )
    assert set(found) == {
        ("node", "ae_title"),
        ("node", "prot"),
        ("node", "port"),
        ("nodes", ""),
        ("DEFAULT", ""),
        ("destination PACS", "ae_title"),
        ("destination PACS", "host"),
        ("destination PACS", "port"),
        ("destination a b", ""),
        ("destination a b", "port"),
    }
    assert found["node", "prot"].expected == "a known key (did you mean port?)"
    assert found["node", "port"].got == "'many'"
    assert found["destination PACS", "port"].got == "none"
    assert found["nodes", ""].expected.startswith("one of node, tls, dicomweb")


def test_a_worklist_manager_needs_something_that_tells_what_is_ours(ini: Path) -> None:
    manager = "[worklist]\nmanager = UPS@host:104\n"
    found = faults(ini, manager)

    assert set(found) == {("worklist", "station_name")}
    assert found["worklist", "station_name"].expected.startswith("a station name, or a workitem")
    for key in ("station_name = AINODE", "workitem_code = 110005^DCM"):
        ini.write_text(f"{manager}{key}\n")
        assert load(ini).worklist.manager == "UPS@host:104"


def test_error_lists_every_fault_on_a_line(ini: Path) -> None:
    ini.write_text("[node]\nport = -1\n[log]\nlevel = LOUD\n")
    with pytest.raises(SettingsError) as caught:
        load(ini)
    assert str(caught.value).splitlines() == [
        "2 faults in the settings",
        "  [node] port: expected greater than or equal to 0, got '-1'",
        "  [log] level: expected 'DEBUG', 'INFO', 'WARNING' or 'ERROR', got 'LOUD'",
    ]


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("worklist", "manager = UPS@host"),
        ("worklist", "workitem_code = 110005"),
        ("worklist", "workitem_code = 110005^"),
        ("worklist", "workitem_code = 11*5^DCM"),
        ("worklist", "station_name = AN AI NODE"),
        ("node", "ae_title ="),
        ("node", "ae_title = ÄNODE"),
        ("node", "ae_title = A\\B"),
        ("node", "ae_title = 12345678901234567"),
        ("node", "calling_aes = CT1, 12345678901234567"),
        ("node", "calling_aes = CT1@nowhere"),
        ("node", "port = 65536"),
        ("node", "require_called_ae = perhaps"),
        ("node", "maximum_pdu_size = 0"),
        ("storage", "reserve_gb = -1"),
        ("storage", "database_url = mysql://x"),
        ("storage", "database_url = sqlite://"),
        ("storage", "database_url = sqlite:///:memory:"),
        ("storage", "database_url = sqlite:///relative/node.sqlite"),
        ("storage", "objects = https://bucket"),
        ("storage", "objects = s3://Bucket"),
        ("storage", "objects = s3://bucket/../other"),
        ("storage", "objects_endpoint = https://user:secret@host"),
        ("storage", "objects_region = not one"),
        ("closing", "quiet_seconds = 0"),
        ("closing", "quiet_seconds = nan"),
        ("closing", "quiet_seconds = inf"),
        ("closing", "quiet_seconds_by_ae = CT1"),
        ("closing", "quiet_seconds_by_ae = CT1:-5"),
        ("closing", "quiet_seconds_by_ae = CT1:5, CT1:6"),
        ("closing", "quiet_seconds_by_ae = :5"),
        ("closing", "quiet_seconds_regular = -1"),
        ("closing", "quiet_seconds_regular_by_ae = CT1:-1"),
        ("closing", "ask = PACS@pacs:104"),
        ("closing", "ask = CT1=PACS"),
        ("closing", "ask = CT1=PACS@pacs:0"),
        ("closing", "ask = CT1=A@pacs:1, CT1=B@pacs:1"),
        ("closing", "ask = =A@pacs:1"),
        ("selection", "exclude_description = (lung"),
        ("selection", "min_slices = 1.5"),
        ("analysis", "device = gpu"),
        ("analysis", "threshold = 1.01"),
        ("analysis", "threshold = nan"),
        ("analysis", "threshold = high"),
        ("results", "manufacturer = Müller"),
        ("results", "manufacturer = a\\b"),
        ("results", "manufacturer ="),
        ("results", "device_serial = №1"),
        ("results", "device_uid = 1.02.3"),
        ("results", "device_uid = one"),
        ("engine", "scheduler = tcp://host:8786"),
        ("engine", "scheduler = tls://host"),
        ("engine", "attempts = 0"),
        ("delivery", "retry_factor = 0.5"),
        ("log", "format = xml"),
    ],
)
def test_value_that_is_no_such_value_is_a_fault(ini: Path, section: str, line: str) -> None:
    found = faults(ini, f"[{section}]\n{line}\n")
    assert set(found) == {(section, line.partition(" ")[0])}


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("node", "ae_title = 1234567890123456"),
        ("node", "ae_title = A NODE-1_x"),
        ("node", "port = 0"),
        ("storage", "reserve_gb = 0"),
        ("storage", "objects = s3://a-bucket.of-us/prefix/"),
        ("storage", "objects_endpoint = http://127.0.0.1:8333/"),
        ("storage", "objects_region = eu-central-1"),
        ("analysis", "threshold = 0"),
        ("analysis", "threshold = 1"),
        ("analysis", "threshold = model"),
        ("results", "device_uid = 2.25.0"),
        ("engine", "scheduler = tls://gpu-1.example.org:8786"),
        ("closing", "quiet_seconds_by_ae ="),
    ],
)
def test_values_at_the_edge_are_taken(ini: Path, section: str, line: str) -> None:
    read(ini, f"[{section}]\n{line}\n")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"port = 1\n", "an INI file"),
        (b"[node]\nport\n", "an INI file"),
        (b"[node]\nport = 1\nport = 2\n", "an INI file"),
        (b"[node]\n[node]\n", "an INI file"),
        (b"[node]\nae_title = \xff\n", "UTF-8 text"),
    ],
)
def test_file_that_is_no_ini_file_is_one_fault(ini: Path, content: bytes, expected: str) -> None:
    ini.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        load(ini)
    (fault,) = caught.value.faults
    assert (fault.section, fault.key, fault.expected) == ("", "", expected)


def test_missing_file_is_a_fault_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"expected a readable file, got .*none\.ini: No such"):
        load(tmp_path / "none.ini")


def test_byte_order_mark_of_an_editor_is_no_fault(ini: Path) -> None:
    ini.write_bytes(b"\xef\xbb\xbf[node]\r\nport = 104\r\n")
    assert load(ini).node.port == 104


def test_destination_named_twice_is_a_fault(ini: Path) -> None:
    found = faults(ini, PACS + PACS.replace("[destination ", "[destination  "))
    assert set(found) == {("destination PACS", "")}


def test_password_is_shown_nowhere(ini: Path) -> None:
    url = "database_url = mysql://node:secret@db/x"
    (fault,) = faults(ini, f"[storage]\n{url}\n").values()
    assert "secret" not in str(fault)
    assert str(fault).endswith("got something else")
    good = read(ini, f"[storage]\n{url.replace('mysql', 'postgresql')}\n")
    assert "secret" not in repr(good)


def test_the_database_url_may_be_in_a_file_of_its_own(ini: Path) -> None:
    file = ini.with_name("url")
    file.write_text("postgresql://node:secret@db/x\n")
    settings = read(ini, "[storage]\ndatabase_url_file = url\n")
    assert settings.database_url == "postgresql://node:secret@db/x"
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    "content", ["mysql://node:secret@db/x", "a\nsecret", "postgresql://db/x\nsecret", ""]
)
def test_a_file_without_a_database_url_is_named_and_not_quoted(ini: Path, content: str) -> None:
    ini.with_name("url").write_text(content)
    settings = read(ini, "[storage]\ndatabase_url_file = url\n")
    with pytest.raises(SettingsError, match=r"database_url_file: expected a file .* got") as fault:
        _ = settings.database_url
    assert "secret" not in str(fault.value)


def test_the_access_key_of_a_bucket_is_in_a_file_of_its_own(ini: Path) -> None:
    ini.with_name("key").write_text("AKIA1:se/cr+et:=\n")
    settings = read(ini, "[storage]\nobjects_key_file = key\n")
    assert settings.objects_key == ("AKIA1", "se/cr+et:=")
    assert settings.secrets == {"[storage] objects_key_file": ini.with_name("key")}
    assert Settings().objects_key == ("", "")


@pytest.mark.parametrize("content", ["secret", "id:secret\nsecret", "i d:secret", ":secret", ""])
def test_a_file_without_an_access_key_is_named_and_not_quoted(ini: Path, content: str) -> None:
    ini.with_name("key").write_text(content)
    settings = read(ini, "[storage]\nobjects_key_file = key\n")
    with pytest.raises(SettingsError, match=r"objects_key_file: expected a file .* got") as fault:
        _ = settings.objects_key
    assert "secret" not in str(fault.value)


def test_a_missing_file_with_the_database_url_is_named(ini: Path) -> None:
    settings = read(ini, "[storage]\ndatabase_url_file = away\n")
    with pytest.raises(SettingsError, match=r"away \(FileNotFoundError\)"):
        _ = settings.database_url


def test_a_password_with_any_character_is_shown_nowhere(ini: Path) -> None:
    url = "database_url = mysql://node:se@cr@et@db/x?password=secret"
    (fault,) = faults(ini, f"[storage]\n{url}\n").values()
    assert "et" not in str(fault).partition("got")[2].replace("something else", "")


def test_a_destination_with_a_url_is_reached_by_dicomweb(ini: Path) -> None:
    settings = read(
        ini,
        "[destination WEB]\nurl = https://pacs.example.org:8443/dicom-web/\nuser = node\n"
        "password_file = secret\nenabled = no\n" + PACS,
    )

    web, pacs = settings.destinations
    assert web == WebDestination(
        name="WEB",
        url="https://pacs.example.org:8443/dicom-web",
        user="node",
        password_file=ini.parent / "secret",
        enabled=False,
    )
    assert isinstance(pacs, DicomDestination)


@pytest.mark.parametrize(
    "url", ["http://[::1]:8042/dicom-web", "https://10.1.0.7", "http://pacs/a"]
)
def test_a_url_may_have_any_host(ini: Path, url: str) -> None:
    (web,) = read(ini, f"[destination WEB]\nurl = {url}\n").destinations

    assert isinstance(web, WebDestination)
    assert web.url == url


@pytest.mark.parametrize(
    ("lines", "key", "expected"),
    [
        ("url = https://pacs\nae_title = PACS", "ae_title", "or an AE title, host and port"),
        ("url = https://pacs\nverify = query", "verify", "or an AE title, host and port"),
        ("url = https://pacs\nurls = x", "urls", "did you mean url?"),
        ("url = pacs.example.org", "url", "https://host/path"),
        ("url = https://node:secret@pacs/web", "url", "https://host/path"),
        ("url = https://pacs:70000/web", "url", "https://host/path"),
        ("url = https://pacs..org/web", "url", "https://host/path"),
        ("url = https://pacs/web/studies/", "url", "without the /studies"),
        ("url = https://pacs\nuser = node", "password_file", "a file where there is a user"),
        ("url = https://pacs\npassword_file = f", "password_file", "a file where there is a user"),
        ("url = https://pacs\nuser = a:b\npassword_file = f", "user", "without ':'"),
        (
            "url = https://pacs\nuser = node\npassword_file = f\ntoken_file = t",
            "token_file",
            "a token or a user",
        ),
        (
            "ae_title = A\nhost = h\nport = 104\ntoken_file = t",
            "token_file",
            "or an AE title, host and port",
        ),
        ("ae_title = A\nhost = h\nport = 104\nverify = yes", "verify", "'commitment'"),
    ],
)
def test_destinations_are_of_one_kind_and_whole(
    ini: Path, lines: str, key: str, expected: str
) -> None:
    (fault,) = faults(ini, f"[destination PACS]\n{lines}\n").values()

    assert (fault.section, fault.key) == ("destination PACS", key)
    assert expected in fault.expected
    assert "secret" not in str(fault)


def test_dicomweb_beyond_this_machine_needs_a_token(ini: Path) -> None:
    text = "[dicomweb]\nport = 8443\nbind = {}\n"
    assert read(ini, text.format("127.0.0.1")).dicomweb.token_file is None
    assert read(ini, text.format("::1")).dicomweb.token_file is None
    assert read(ini, text.format("192.0.2.1") + "token_file = t").dicomweb.token_file is not None

    (fault,) = faults(ini, text.format("192.0.2.1")).values()
    assert (fault.section, fault.key) == ("dicomweb", "token_file")


def test_reports_beyond_this_machine_need_senders(ini: Path) -> None:
    text = "[reports]\nport = 2576\nbind = {}\n"
    assert read(ini, text.format("127.0.0.1")).reports.senders == ()
    named = read(ini, text.format("192.0.2.1") + "senders = 10.1.0.7, 10.2.0.0/16")
    assert named.reports.senders == ("10.1.0.7", "10.2.0.0/16")

    (fault,) = faults(ini, text.format("192.0.2.1")).values()
    assert (fault.section, fault.key) == ("reports", "senders")


def test_the_secret_of_the_console_at_its_provider_is_one_of_those_that_are_checked(
    ini: Path,
) -> None:
    provider = "oidc_issuer = https://login.example.org\noidc_client_id = c\n"
    settings = read(ini, f"[console]\n{provider}oidc_password_file = p\n")
    assert settings.secrets["[console] oidc_password_file"] == ini.with_name("p")


def test_a_destination_by_hl7_has_the_keys_of_its_kind(ini: Path) -> None:
    settings = read(ini, "[destination RIS]\nhl7 = ris.example.org:2575\ntls = yes\n")
    assert settings.destinations == (
        Hl7Destination(name="RIS", hl7="ris.example.org:2575", tls=True),
    )

    with pytest.raises(SettingsError) as error:
        read(ini, "[destination RIS]\nhl7 = ris\nrejection_notes = yes\nsending_facility = A^B\n")
    others = {fault.key: fault.expected for fault in error.value.faults}
    assert others["hl7"] == "a host and port, as in ris.example.org:2575"
    assert others["rejection_notes"].endswith("or an AE title, host and port, each with its keys")
    assert others["sending_facility"].startswith("printable ASCII characters")
