"""A process that runs one implementation: ``python -m benchmarks.worker CASE IMPLEMENTATION``, driven by JSON lines.

The first line is the job; the answer comes when the implementation is ready for its first step. Then commands: ["run", trials],
["outcome", path], ["finite"], ["memory"]. Whatever else is printed goes to standard error.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.registry import Job, Missing, case_named


def cpu_seconds() -> float:
    """Time on the processor of this process and of those that it started and that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(u.ru_utime + u.ru_stime for u in used)


def peak_mb() -> float:
    """Peak resident memory of this process or of the largest one that it started."""
    scale = 1 if sys.platform == "darwin" else 1024
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    with contextlib.suppress(OSError):  # on Linux the other number starts from that of the process that started this one
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                own = int(line.split()[1]) * 1024
    started = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * scale
    return max(own, started) / 1e6


def main(case_name: str, name: str) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers, flush=True)

    try:
        request = json.loads(sys.stdin.readline())
        case = case_named(case_name)
        implementation = case[name]
        if request["against"]:
            implementation = replace(case.reference, options={**case.reference.options, **implementation.against})
        job = Job(Path(request["folder"]), Path(request["data"]), request["steps"], request["trials"], request["given"])
        runner = implementation.make()
        runner.prepare(job)
        answer(ready=True, cpu=cpu_seconds(), steps=runner.steps)
        for line in sys.stdin:
            command, *values = json.loads(line)
            if command == "run":
                wall, cpu = time.perf_counter(), cpu_seconds()
                runner.run(values[0])
                answer(wall=time.perf_counter() - wall, cpu=cpu_seconds() - cpu)
            elif command == "outcome":
                import numpy as np

                np.save(values[0], runner.outcome())
                answer(saved=True)
            elif command == "finite":
                import numpy as np

                answer(finite=bool(np.isfinite(runner.outcome()).all()))
            elif command == "memory":
                answer(mb=peak_mb())
    except (Missing, ModuleNotFoundError) as error:
        traceback.print_exc()
        answer(missing=f"{type(error).__name__}: {error}")
    except Exception as error:
        traceback.print_exc()
        answer(failed=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
