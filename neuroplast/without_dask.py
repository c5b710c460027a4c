"""Import pint without dask: pint imports all of ``dask.array`` where dask is installed (for sweeps), to recognise its arrays.

That takes two to three seconds of every start, whatever is asked for, and nothing here gives pint such arrays.
"""

from __future__ import annotations

import sys

if "pint" not in sys.modules and "dask" not in sys.modules:
    sys.modules["dask"] = None  # type: ignore[assignment]  # makes "import dask" an ImportError
    try:
        import pint  # noqa: F401
    finally:
        del sys.modules["dask"]
