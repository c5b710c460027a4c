"""Peers that do not live in the project's own environment: each has a virtual environment in one folder.

The folder is named by the environment variable NEUROPLAST_PEERS, or is ``~/.cache/neuroplast/peers``; the environment of a peer
is the folder of its name in it, made with

    python3.10 -m venv $NEUROPLAST_PEERS/nest && $NEUROPLAST_PEERS/nest/bin/pip install nest-simulator 'numpy<2'

BindsNET is taken from its repository: the last release on the package index, 0.2.7, imports ``torch._six``, which torch lost with
version 2.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = "NEUROPLAST_PEERS"
INSTALL = {
    "nest": ("python3.10", "nest-simulator 'numpy<2'"),
    "nengo": ("python3.10", "nengo 'numpy<2'"),
    "bindsnet": ("python3.11", "git+https://github.com/BindsNET/bindsnet"),
}
"""Peer -> the Python it needs, and what pip is to install in its environment."""


def folder() -> Path:
    return Path(os.environ.get(FOLDER) or Path.home() / ".cache" / "neuroplast" / "peers")


def interpreter(peer: str) -> Path | None:
    """The Python of a peer's environment; None where there is none."""
    found = folder() / peer / "bin" / "python"
    return found if found.exists() else None


def how_to_install(peer: str) -> str:
    python, packages = INSTALL[peer]
    return f"not installed: {python} -m venv ${FOLDER}/{peer} && ${FOLDER}/{peer}/bin/pip install {packages}"
