"""``python -m benchmarks.growth``: what an archive costs at one number of instances after another.

For each number a database is filled (SQLite, or an empty one of PostgreSQL by ``--database``),
and files are made, empty; then the start, the hourly comparison, retention and some questions are
measured, and the size of the database before and after its rows were condensed.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, text

from benchmarks.growth.archive import fill, put_files
from benchmarks.growth.steps import STEPS, Cost, cost_of
from benchmarks.rounds import scratch
from dicom_node.clock_watch import utc_now
from storage.database.engine import migrate, open_database
from storage.database.schema import Base
from storage.files.folder import StorageFolder

MEGABYTE = 1_000_000
OF_FILES = ("start", "compare")  #: steps that go over files as well
BEFORE = (*OF_FILES, "retain", "receive", "status")  #: condensing
SIZES = (10_000, 100_000, 1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What an archive costs.

    Attributes
    ----------
    megabytes, condensed_megabytes
        Of the database, with the rows of all instances, and condensed (None if that was not done).
    """

    instances: int
    megabytes: float
    costs: dict[str, Cost]
    condensed_megabytes: float | None = None


def measure(
    instances: int, url: str, folder: Path, *, with_files: bool, condenses: bool
) -> Measured:
    """Fill an empty database and an empty folder, and go over them."""
    engine = open_database(url)
    migrate(engine)
    series = fill(engine, instances=instances, now=utc_now())
    if with_files:
        put_files(StorageFolder(folder, 0), series)
    before = _megabytes(engine)
    steps = BEFORE if with_files else [step for step in BEFORE if step not in OF_FILES]
    costs = {step: cost_of(step, url, folder) for step in steps}
    if not condenses:
        return Measured(instances=instances, megabytes=before, costs=costs)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM instance WHERE path LIKE 'elsewhere/%'"))
        connection.execute(text("DELETE FROM series WHERE modality = 'CT' AND state = 'receiving'"))
        for gone in ("instance SET purged_at = received_at", "result SET purged_at = created_at"):
            connection.execute(text(f"UPDATE {gone}"))  # our own names
    costs["condense"] = cost_of("condense", url, folder)
    _compact(engine)
    after = _megabytes(engine)
    engine.dispose()
    return Measured(instances=instances, megabytes=before, condensed_megabytes=after, costs=costs)


def _compact(engine: Engine) -> None:
    """Give free pages back, so that only what is in use counts."""
    if engine.dialect.name == "sqlite":
        connection = engine.raw_connection()  # outside any transaction
        connection.cursor().execute("VACUUM")
        connection.close()
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connected:
        connected.execute(text("VACUUM FULL"))


def _megabytes(engine: Engine) -> float:
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            size = text("SELECT pg_database_size(current_database())")
            return connection.execute(size).scalar_one() / MEGABYTE
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        return pages * connection.execute(text("PRAGMA page_size")).scalar_one() / MEGABYTE


def _empty(engine: Engine) -> None:
    """Drop all tables, for the next number of instances."""
    Base.metadata.drop_all(engine)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS alembic_version"))


def _line(measured: Measured) -> str:
    thousands, condensed = measured.instances / 1000, measured.condensed_megabytes
    cells = [
        f"{measured.instances:,}",
        f"{1000 * measured.megabytes / thousands:.0f}",
        "" if condensed is None else f"{1000 * condensed / thousands:.0f}",
        *(_cell(measured.costs.get(step)) for step in STEPS),
    ]
    return f"| {' | '.join(cells)} |"


def _cell(cost: Cost | None) -> str:
    if cost is None:
        return ""
    return f"{cost.seconds:.2f} / {cost.processor:.2f} / {cost.megabytes:.0f}"


def main() -> None:
    """Read the command line, measure, print a table in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--instances", type=int, nargs="+", default=SIZES)
    parser.add_argument("--database", default="", help="URL of an empty database of PostgreSQL")
    parser.add_argument("--no-files", action="store_true", help="measure what needs none")
    parser.add_argument("--no-condensing", action="store_true", help="which takes the longest")
    options = parser.parse_args()
    heads = ["instances", "kB for 1,000", "condensed", *STEPS]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}", flush=True)
    for instances in options.instances:
        with scratch() as folder:
            url = options.database or f"sqlite:///{folder / 'node.sqlite'}"
            measured = measure(
                instances,
                url,
                folder,
                with_files=not options.no_files,
                condenses=not options.no_condensing,
            )
            print(_line(measured), flush=True)
            if options.database:
                engine = open_database(url)
                _empty(engine)
                engine.dispose()


if __name__ == "__main__":
    main()
