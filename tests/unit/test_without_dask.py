"""Starting is quick: describing a network imports nothing of dask, which is there for sweeps and takes seconds to import."""

from __future__ import annotations

import subprocess
import sys


def test_a_description_does_not_import_dask() -> None:
    code = "import sys, neuroplast; print(sorted({'dask', 'pandas', 'xarray', 'brian2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
