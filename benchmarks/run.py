"""Run benchmark cases: ``neuroplast bench [CASE ...] [--quick] [--json]``, or ``python benchmarks/run.py`` with the same words.

Each implementation runs in a process of its own, is compared with the Reference, started with empty and with filled caches,
and timed in turns with the others. Results go to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

if __package__ in (None, ""):  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rich.console import Console

from benchmarks import table
from benchmarks.measure import Measurement, Row
from benchmarks.registry import CASES, Implementation, case_named, expand


def main(cases: list[str], quick: bool, json_output: bool, only: Sequence[str] = ()) -> int:
    """Measure the cases (none named: all), print a table or JSON. 0 if everything that is installed ran and was right.

    only: names of implementations, instead of all of the case; the file of results is then left as it is.
    """
    progress, output = Console(stderr=True), Console(width=None if sys.stdout.isatty() else 200)
    unknown = [name for name in cases if not expand(name)]
    if unknown:
        what = f"there is no case '{unknown[0]}'; there are: {', '.join(CASES)}"
        progress.print(what, markup=False)
        if json_output:
            print(json.dumps({"error": {"kind": "UsageError", "what": what}}))
        return 2
    rows: list[Row] = []
    for name in dict.fromkeys(case for word in cases for case in expand(word, quick)) if cases else CASES:
        case = case_named(name)
        chosen: list[Implementation] = [
            i for i in case.implementations if (i.name in only if only else i.quick or not quick)
        ]
        about = table.machine()
        with tempfile.TemporaryDirectory(prefix="neuroplast_bench_") as folder, progress.status(name) as status:
            say = status.update if progress.is_terminal else lambda text: progress.print(text, highlight=False)
            found = Measurement(case, Path(folder), quick, lambda text, say=say, name=name: say(f"{name}: {text}")).run(chosen)
        if not only:
            words = ["neuroplast", "bench", *cases, *(["--quick"] if quick else [])]
            table.write(case, found, about, " ".join(words), quick)
        if not json_output:
            table.show(case, found, output)
        rows += found
    if json_output:
        print(json.dumps(table.as_json(rows), indent=1))
    for row in rows:
        if json_output and row.problem:
            progress.print(f"{row.case} {row.implementation}: {row.problem}", markup=False, highlight=False)
    return 1 if any(row.wrong or row.problem.startswith("failed") for row in rows) else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer implementations and repetitions: under two minutes")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME", help="only these implementations")
    options = parser.parse_args()
    sys.exit(main(options.cases, options.quick, options.json, options.only))
