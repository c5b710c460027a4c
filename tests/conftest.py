"""What several test folders share: a tiny model, findable as neuroplast.models.tiny while a test runs."""

import importlib
from pathlib import Path

import pytest

import neuroplast.models
from neuroplast.model import Model

EXAMPLES = Path(__file__).parent / "example_models"


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.setattr(neuroplast.models, "__path__", [*neuroplast.models.__path__, str(EXAMPLES)])
    return importlib.import_module("neuroplast.models.tiny").MODEL
