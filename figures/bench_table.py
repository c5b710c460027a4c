"""Print README's table of all benchmark cases from the files that ``neuroplast bench`` wrote.

    python -m figures.bench_table [benchmarks/results]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from figures.bench import LIMIT, NAMES, ROOT, group_of, results, rows, time_of

HEAD = ("case", "`compiled`, µs a step", "C++ by hand", "`brian2`", "Brian2 by hand, standalone", "Brian2 by hand, Cython", "others")


def number(value: float) -> str:
    return f"{value:.2g}" if value < 100 else f"{value:.0f}" if value < 1000 else f"{value:,.0f}".replace(",", " ")


def line(result: dict[str, Any]) -> list[str]:
    """One case: our time, and how many times as long the others take; of two forms in Brian2, the events' and the natural one."""
    ours = time_of(result, "compiled")
    if ours is None:
        return [result["case"], *["-"] * (len(HEAD) - 1)]

    def times(*names: str) -> str:
        found = [time_of(result, name) for name in names]
        return " / ".join(number(value / ours) for value in found if value is not None) or "-"

    peers = [f"{NAMES.get(r['implementation'], r['implementation'])} {number(r['us_per_step'] / ours)}" for r in rows(result)
             if group_of(r) == "peer"]
    return [
        result["case"], number(ours), times(LIMIT), times("brian2-target"), times("brian2-standalone-events", "brian2-standalone"),
        times("brian2-cython-events", "brian2-cython"), ", ".join(peers) or "-",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "benchmarks" / "results", help="of result files")
    for cells in (HEAD, ["---"] * len(HEAD), *map(line, results(parser.parse_args().folder))):
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
