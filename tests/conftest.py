"""What several test folders share: compiled kernels, and a tiny model, findable as neuroplast.models.tiny while a test runs."""

import importlib
import os
from pathlib import Path

import pytest

import neuroplast.models
from neuroplast.model import Model

EXAMPLES = Path(__file__).parent / "example_models"


def pytest_configure(config: pytest.Config) -> None:
    """Kernels are kept where pytest keeps its own cache, not in the user's."""
    os.environ.setdefault("NEUROPLAST_CACHE", str(config.rootpath / ".pytest_cache" / "kernels"))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.setattr(neuroplast.models, "__path__", [*neuroplast.models.__path__, str(EXAMPLES)])
    return importlib.import_module("neuroplast.models.tiny").MODEL
