"""The command line `dicom-node`: its commands, and those of the other modules here."""

from __future__ import annotations

import os
import signal
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.markup import escape

from config.errors import SettingsError
from config.example import example_ini
from config.reader import load
from config.settings import Settings
from config.value_types import MAX_AE_TITLE
from dicom_node.cli import (
    console,
    destinations,
    feedback,
    notify,
    probe,
    rerun,
    series,
    settings,
    status,
)
from dicom_node.cli.exit_codes import BY_SIGNAL, status_of
from dicom_node.cli.maintenance import (
    backup,
    commission,
    decisions,
    doctor,
    drain,
    drift,
    engine,
    governance,
    selftest,
    shadow,
    stored_data,
    support,
    upgrade,
    workitems,
)
from dicom_node.cli.options import INI, AsJson, DestinationName, Ini, err, out
from dicom_node.cli.research import agreement, compare, evaluate, localise, model, stability, train
from dicom_node.cli.views.json_text import json_text, print_outcome
from dicom_node.errors import NodeError, UsageError
from pipeline.errors import PipelineError
from storage.errors import StorageError
from storage.files.disk import FULL, filled

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # rich's own takes [section] for a style, and shows nothing
    help="A DICOM node that analyses chest CT for COVID-19 and writes the results back to the PACS."
    " For research use only; its results are not a diagnosis.",
)
app.add_typer(train.app, name="train")
app.add_typer(train.synthesis)
app.add_typer(model.app, name="model")
app.add_typer(compare.app)
app.add_typer(evaluate.app)
app.add_typer(localise.app)
app.add_typer(stability.app)
app.add_typer(rerun.app)
app.add_typer(series.app)
app.add_typer(notify.app)
app.add_typer(probe.app)
app.add_typer(decisions.app, name="decisions")
app.add_typer(destinations.app, name="destinations")
app.add_typer(doctor.app)
app.add_typer(status.app)
app.add_typer(settings.app)
app.add_typer(console.app)
app.add_typer(feedback.app, name="feedback")
app.add_typer(agreement.app)
app.add_typer(stored_data.app)
app.add_typer(backup.app)
app.add_typer(drain.app)
app.add_typer(upgrade.app)
app.add_typer(engine.app)
app.add_typer(support.app)
app.add_typer(selftest.app)
app.add_typer(commission.app)
app.add_typer(drift.app, name="drift")
app.add_typer(shadow.app)
app.add_typer(workitems.app)
app.add_typer(governance.app, name="governance")


def main() -> None:
    """Run the command line; expected faults end with a sentence, and with the status of their kind.

    Whatever a command writes holds patients' data, or may: it is for this user alone. One that is
    asked to end removes what it has begun; those that run until then hear of it in their own way.
    Standard output has its answer alone: what is logged goes to standard error.
    """
    from dicom_node import logs

    os.umask(0o077)
    logs.configure(level="warning", style="console")
    for number in BY_SIGNAL:
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup has one of them ignored
            signal.signal(number, _end_by)
    try:
        app()
    except (SettingsError, NodeError, PipelineError, StorageError) as fault:
        _end(str(fault), fault)
    except ModuleNotFoundError as fault:
        _end(f"{fault.name} is not installed: pip install dicom-node installs it", fault)
    except OSError as fault:
        # files have their names in what goes wrong with them (`storage.files.disk.naming`)
        place = fault.filename or ("standard output" if fault.errno in FULL else "")
        _end(": ".join(str(word) for word in (fault.strerror or fault, place) if word), fault)


def _end_by(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(BY_SIGNAL[signal.Signals(number)])


def _end(sentence: str, fault: Exception) -> NoReturn:
    err.print(f"[bold red]error:[/] {escape(sentence)}")
    raise SystemExit(status_of(fault)) from fault


@app.command()
def run(
    config: Ini = INI,
    new_folder: Annotated[
        bool,
        typer.Option(
            "--new-folder",
            help="Begin with an empty storage folder, though the database knows files.",
        ),
    ] = False,
) -> None:
    """Start the node: receive, analyse, deliver, until SIGTERM or Ctrl-C."""
    from dicom_node import logs
    from dicom_node.node.lifecycle import serve
    from dicom_node.preflight.doubts import doubts

    settings = load(config)
    writer = logs.configure_service(settings.log)
    logs.take_standard_error(writer)
    for doubt in doubts(settings):
        logs.log.warning("setting_doubtful", what=doubt)
    serve(settings, writer, ini=config, new_folder=new_folder)


@app.command()
def worker(
    config: Ini = INI,
    name: Annotated[str | None, typer.Option(help="What the node calls this worker.")] = None,
    tasks: Annotated[int, typer.Option(min=1, help="How many series at the same time.")] = 1,
) -> None:
    """Analyse for a node elsewhere: join its scheduler until SIGTERM or Ctrl-C."""
    from dicom_node import logs
    from dicom_node.analysis.configuration import model_folder
    from dicom_node.analysis.engine.connection import EMBEDDED
    from dicom_node.analysis.engine.fleet_worker import run_worker
    from dicom_node.assembly.engine import engine_address_of

    settings = load(config)
    logs.configure_service(settings.log)
    address = engine_address_of(settings)
    if address.scheduler == EMBEDDED:
        raise NodeError("[engine] scheduler: expected the address of a scheduler, got 'embedded'")
    run_worker(
        address,
        name=name,
        tasks=tasks,
        model=model_folder(settings),
        fetch_folder=settings.engine.fetch_folder,
    )


@app.command()
def check(as_json: AsJson = False, config: Ini = INI) -> None:
    """Check the settings, and all that they name: say at once what a start refuses, and doubts."""
    from dicom_node.preflight.awaited import awaited
    from dicom_node.preflight.doubts import doubts
    from dicom_node.preflight.faults import faults

    settings = load(config)
    faulty = faults(settings)
    doubtful = [*doubts(settings), *awaited(settings)]
    if as_json:
        typer.echo(json_text({"doubts": doubtful, "faults": faulty}))
        raise typer.Exit(1 if faulty else 0)
    for doubt in doubtful:
        err.print(f"[bold yellow]doubt:[/] {escape(doubt)}")
    for fault in faulty:
        err.print(f"[bold red]fault:[/] {escape(fault)}")
    if faulty:
        raise typer.Exit(1)
    words = f"{config}: the settings are in order, {len(settings.destinations)} destination(s)."
    out.print(words, markup=False)


@app.command()
def example() -> None:
    """Print an INI file with every setting, its meaning and its default."""
    typer.echo(example_ini(), nl=False)


@app.command()
def constraints() -> None:
    """Print the versions that this program was tested with, for `pip install -c`."""
    from dicom_node.roles import constraints as tested

    typer.echo(tested(), nl=False)


@app.command()
def echo(name: DestinationName, as_json: AsJson = False, config: Ini = INI) -> None:
    """Verify a destination by C-ECHO, or by a query if it is reached by DICOMweb."""
    from dicom_node.assembly.delivery import sender_of
    from dicom_node.delivery.outcome import Verdict

    settings = load(config)
    outcome = sender_of(settings, probe.named(settings, name)).echo()
    if outcome.verdict is not Verdict.ACCEPTED:
        raise NodeError(outcome.detail)
    print_outcome({"destination": name, "answers": True}, f"{name} answers.", as_json=as_json)


@app.command()
def send(
    folder: Annotated[Path, typer.Argument(exists=True, help="DICOM files, also in subfolders.")],
    to: Annotated[str, typer.Option(help="AE title of the receiver.")] = "AINODE",
    host: Annotated[str, typer.Option(help="Its host name or address.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Its port.")] = 11112,
    calling: Annotated[str, typer.Option(help="The AE title we call ourselves.")] = "DICOM-NODE",
    as_json: AsJson = False,
) -> None:
    """Send DICOM files to any AE by C-STORE, in the transfer syntax they have."""
    from dicom_node.cli.send import send_folder
    from dicom_node.network.association import Peer

    for title in (to, calling):
        if not 1 <= len(title.strip()) <= MAX_AE_TITLE:
            raise UsageError(
                f"expected an AE title of 1 to {MAX_AE_TITLE} characters, got {title!r}"
            )
    peer = Peer(ae_title=to, host=host, port=port)
    sent = send_folder(folder, peer, calling_ae=calling, console=err)
    print_outcome(asdict(sent), *sent.words(), as_json=as_json)
    raise typer.Exit(0 if sent.is_whole else 1)


@app.command()
def process(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="DICOM files.")],
    out_folder: Annotated[Path, typer.Option("--out", help="Where the results go; new or empty.")],
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="INI file; without it the defaults hold.")
    ] = None,
    created: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z"],
            help="Time that the results name instead of now, as analysis.json has it: the same"
            " files, settings and time give the same UIDs and the same bytes.",
        ),
    ] = None,
    profiled: Annotated[
        bool, typer.Option("--profile", help="Print time and memory of each stage as well.")
    ] = False,
) -> None:
    """Analyse every series in a folder without a network: DICOM results and analysis.json.

    Nothing is remembered between runs, so each run makes UIDs of its own: a UID names one set of
    bytes, and the results name the time at which they were made.
    """
    from dicom_node.cli.process import process_folder

    settings = load(config) if config else Settings()
    created = created or datetime.now(UTC).astimezone()
    analysed = process_folder(folder, out_folder, settings, out, created, profiled=profiled)
    raise typer.Exit(0 if analysed else 1)


class Syntax(StrEnum):
    """Transfer syntaxes in which the phantom can be written."""

    explicit = "explicit"
    implicit = "implicit"
    big_endian = "big-endian"
    deflated = "deflated"
    rle = "rle"
    jpeg_lossless = "jpeg-lossless"
    jls = "jls"
    j2k = "j2k"
    htj2k = "htj2k"


@app.command()
def phantom(
    folder: Annotated[Path, typer.Argument(help="Where the series goes.")],
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another patient.")] = 1,
    lesions: Annotated[int, typer.Option(min=0, max=255, help="0 gives a healthy chest.")] = 4,
    slices: Annotated[int, typer.Option(min=1, help="How many images.")] = 120,
    spacing: Annotated[
        float, typer.Option(min=0.1, max=50, help="Distance between slices, mm.")
    ] = 2.5,
    transfer_syntax: Annotated[
        Syntax, typer.Option(help="How the pixels are encoded.")
    ] = Syntax.explicit,
) -> None:
    """Write a synthetic chest CT as a DICOM series: material for tests and the demo."""
    from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
    from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom

    spec = PhantomSpec(seed=seed, lesions=lesions, slices=slices, spacing_mm=spacing)
    try:
        phantom_ct = make_phantom(spec)
    except ValueError as fault:  # too few slices to hold a lesion
        raise UsageError(f"{fault} (--lesions 0 needs no lung)") from fault
    with filled(folder):
        paths = write_series(phantom_datasets(phantom_ct, seed=seed), folder, transfer_syntax)
    out.print(f"{len(paths)} images in {folder}", markup=False)


@app.command()
def demo(
    ct: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="A chest CT; else the phantom."),
    ] = None,
    out_folder: Annotated[Path, typer.Option("--out", help="Where everything goes.")] = Path(
        "demo"
    ),
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave node and console up until Ctrl-C.")
    ] = False,
) -> None:
    """Show the whole way on this machine: node, stand-in PACS, a chest CT, results, pictures."""
    from dicom_node.cli.demo import show

    show(ct, out_folder, out, keep=keep)
