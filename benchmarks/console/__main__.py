"""``python -m benchmarks.console``: fill a database, ask every page of the console, or receive.

With ``--database URL`` the rows go into an empty database of PostgreSQL; else into SQLite. With
``--receive`` the receiver's speed is measured instead, beside ten open consoles and beside none.
"""

from __future__ import annotations

import argparse

from benchmarks.console.pages import SHARE, pages_of
from benchmarks.console.receiving import receiving_beside_consoles


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.console", description=__doc__)
    parser.add_argument("--series", type=int, default=1_000_000)
    parser.add_argument("--deliveries", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=40, help="how often each page is asked")
    parser.add_argument("--database", default="", help="URL of an empty database of PostgreSQL")
    parser.add_argument("--receive", action="store_true", help="measure the receiver instead")
    parser.add_argument("--rounds", type=int, default=7, help="of the receiver")
    parser.add_argument("--slices", type=int, default=300, help="that are sent in a round")
    options = parser.parse_args()
    if options.receive:
        print(receiving_beside_consoles(slices=options.slices, rounds=options.rounds))
        return
    rows = pages_of(
        options.database,
        series=options.series,
        deliveries=options.deliveries,
        times=options.times,
    )
    print(f"| page | p50, ms | p{SHARE} | processor, mean |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row.name} | {row.middle:.0f} | {row.high:.0f} | {row.processor:.0f} |")


if __name__ == "__main__":
    main()
