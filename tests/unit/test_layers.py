"""The arrows between the layers: who may import whom, and the package list against the folders."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "neuroplast"
FILES = sorted(p for p in PACKAGE.rglob("*.py") if "__pycache__" not in p.parts)
HEAVY = ("brian2", "xarray", "matplotlib", "lava", "typer", "rich", "gymnasium", "h5netcdf", "jinja2", "pandas")
DESCRIPTION = (
    "network",
    "neurons",
    "noise",
    "synapses",
    "plasticity",
    "modulation",
    "monitors",
    "tasks",
    "units",
    "node",
    "equations",
    "errors",
    "expressions",
)


def imported(path: Path, everywhere: bool = True) -> set[str]:
    """Full names of the modules that a file imports; ``everywhere``: inside functions too, but not for type checking only."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module:
                found.add(child.module)
                found.update(f"{child.module}.{alias.name}" for alias in child.names)
            if everywhere or not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


def top(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


def fresh(code: str) -> list[str]:
    """Modules of HEAVY and of neuroplast that a fresh interpreter has loaded after ``code``, but for those of pint, which looks
    for Dask and with it loads much else.
    """
    wanted = f"m.split('.')[0] in {(*HEAVY, 'neuroplast')!r} and m not in before"
    ask = f"import sys, pint; before = set(sys.modules)\n{code}\nprint(*sorted(m for m in sys.modules if {wanted}))"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.split()


@pytest.mark.parametrize("module", [f"neuroplast.{name}" for name in DESCRIPTION])
def test_the_description_stands_alone(module: str):
    """No simulator, no plotting, no files, and nothing of neuroplast that comes after the description."""
    loaded = fresh(f"import {module}")
    assert not {m.split(".")[0] for m in loaded} & set(HEAVY)
    later = [m for m in loaded if m.startswith(("neuroplast.ir", "neuroplast.backends", "neuroplast.hardware", "neuroplast.models"))]
    assert not later


def test_the_front_door_is_light():
    loaded = fresh("import neuroplast; neuroplast.Network('n'); neuroplast.LIF")
    assert not {m.split(".")[0] for m in loaded} & set(HEAVY)


def test_lowering_and_reference_need_no_simulator():
    loaded = fresh("import neuroplast.ir.discretize, neuroplast.backends.reference, neuroplast.backends.targets")
    assert not {m.split(".")[0] for m in loaded} & set(HEAVY)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_who_imports_simulators(path: Path):
    """Only backends/brian2 knows Brian2, only backends/lava knows Lava; gymnasium is looked at where an environment is made."""
    where = path.relative_to(PACKAGE).parts
    if where[:2] != ("backends", "brian2"):
        assert "brian2" not in top(path)
    if where[:2] != ("backends", "lava"):
        assert "lava" not in top(path)


@pytest.mark.parametrize(
    "path",
    [p for p in FILES if p.relative_to(PACKAGE).parts[0].removesuffix(".py") in DESCRIPTION],
    ids=lambda p: str(p.relative_to(PACKAGE)),
)
def test_arrows_point_one_way(path: Path):
    """The description does not know the lowering, and neither knows the targets."""
    later = (
        "neuroplast.ir",
        "neuroplast.backends",
        "neuroplast.simulation",
        "neuroplast.hardware",
        "neuroplast.models",
        "neuroplast.results",
    )
    assert not [name for name in imported(path) if name.startswith(later)]


@pytest.mark.parametrize("path", sorted((PACKAGE / "ir").glob("*.py")), ids=lambda p: p.name)
def test_lowering_does_not_know_the_targets(path: Path):
    assert not [name for name in imported(path) if name.startswith(("neuroplast.backends", "neuroplast.simulation", "neuroplast.hardware"))]


def _pyproject() -> dict:
    try:
        import tomllib  # pyright: ignore[reportMissingImports]  # since Python 3.11
    except ImportError:
        tomllib = pytest.importorskip("tomli")
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_package_list_equals_the_folders():
    """The list is explicit, because models/ and hardware/ are mapped in: a folder that is not listed would be missing in a wheel."""
    setup = _pyproject()["tool"]["setuptools"]
    mapped = {name.removeprefix("neuroplast."): folder for name, folder in setup.get("package-dir", {}).items()}
    on_disk = {"neuroplast"}
    for start, name in ((PACKAGE, "neuroplast"), *((ROOT / folder, f"neuroplast.{key}") for key, folder in mapped.items())):
        for init in start.rglob("__init__.py"):
            parts = init.parent.relative_to(start).parts
            if start == PACKAGE and parts and parts[0] in mapped:
                continue  # the symlink: listed through its own folder
            on_disk.add(".".join((name, *parts)))
    for path in FILES:
        folder = path.parent.relative_to(PACKAGE).parts
        assert not folder or ".".join(("neuroplast", *folder)) in on_disk, f"{path.parent} has no __init__.py"
    assert set(setup["packages"]) == on_disk


def test_package_data_is_there():
    for package, patterns in _pyproject()["tool"]["setuptools"].get("package-data", {}).items():
        folder = ROOT.joinpath(*package.split("."))
        for pattern in patterns:
            assert list(folder.glob(pattern)), f"package-data {pattern} of {package} matches nothing"


def test_counterparts_have_the_same_name():
    """neurons.py and ir/neurons.py, and so on: where one part of the description is lowered is known by its name."""
    for name in ("neurons", "noise", "synapses", "plasticity", "modulation"):
        assert (PACKAGE / f"{name}.py").exists() and (PACKAGE / "ir" / f"{name}.py").exists()
        assert (PACKAGE / "testing" / f"{name}.py").exists()
