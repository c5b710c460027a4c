"""The commands ``neuroplast deploy`` and ``neuroplast compare``: a model in a chip's integers, and targets side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from neuroplast.errors import DescriptionError, ResultError

if TYPE_CHECKING:
    from neuroplast.ir.program import StepProgram

Work = Callable[[bool, Callable[[Console], Any]], None]
SHOWN = 12

Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="PARAMETER=VALUE", help='Change a parameter, such as "tau=20 ms". May be repeated.')
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")]
Trials = Annotated[int, typer.Option(min=1, help="Number of trials.")]
Weights = Annotated[
    Path | None, typer.Option(metavar="RESULT", help="Start from the weights that a run learned (its folder or file).", show_default=False)
]
Quick = Annotated[bool, typer.Option("--quick", help="The model's smaller version.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output, and nothing else there.")]
ModelName = Annotated[str, typer.Argument(help="Name of the model.", show_default=False)]


def register(app: typer.Typer, command: Work) -> None:
    """Add the commands. ``command`` does the work of one, with its errors and its JSON document."""

    @app.command()
    def deploy(
        model: ModelName,
        target: Annotated[str, typer.Option(help="lava, loihi2, or any other target.")] = "lava",
        precision: Annotated[str, typer.Option(help="float, or fixed: Loihi 2's integers.")] = "fixed",
        plasticity: Annotated[
            str, typer.Option(help="Rules in integers: process (traces and eligibility in float), or loihi: on the chip's learning engine.")
        ] = "process",
        weights: Weights = None,
        learn: Annotated[bool, typer.Option("--learn/--no-learn", help="Whether weights go on learning there.")] = True,
        headroom: Annotated[
            float | None,
            typer.Option(
                min=0.01, max=1.0, show_default=False,
                help="Part of the 24 bits that a first float run may take (default: 0.5, or 0.25 where something learns).",
            ),
        ] = None,
        trials: Trials = 1,
        seed: Seed = 0,
        settings: Settings = None,
        quick: Quick = False,
        as_json: Json = False,
    ) -> None:
        """Put a model on Lava or a Loihi 2: print every number that changes and what of the chip it takes, and run it."""

        def work(console: Console) -> Any:
            if precision not in ("float", "fixed"):
                raise DescriptionError("precision is not known", got=repr(precision), allowed="float, fixed")
            if plasticity != "process" and precision == "float":
                raise DescriptionError(
                    "the chip's learning engine has whole numbers alone", got=f"--plasticity {plasticity} --precision float",
                    do="--precision fixed",
                )
            if ":" in target:
                raise DescriptionError(
                    "deploy makes the integers itself", got=f"--target {target}",
                    do=f"--target {target.partition(':')[0]}, with --precision float or fixed, and --plasticity process or loihi",
                )
            program = model_program(model, seed, settings, quick, weights)
            if not learn:
                program = without_learning(program)
            document = deployed(program, target, precision, trials, plasticity, headroom)
            console.print(f"{model}: the numbers that changed", style="bold")
            console.print(_table(document["lowering"], ("node", "what", "asked", "got")))
            if document["resources"]:
                console.print(_table(document["resources"], ("resource", "used", "available")))
            console.print(_table([{"measure": k, "value": f"{v:.6g}"} for k, v in document["measures"].items()], ("measure", "value")))
            asked = {"model": model, "target": target, "precision": precision, "plasticity": plasticity, "learn": learn}
            return {**asked, "trials": trials, "seed": seed, **document}

        command(as_json, work)

    @app.command()
    def compare(
        model: ModelName,
        targets: Annotated[str, typer.Option(help="Names, the first to compare with, such as reference,lava,lava:fixed (integers).")],
        trials: Trials = 1,
        seed: Seed = 0,
        settings: Settings = None,
        quick: Quick = False,
        out: Annotated[
            Path | None, typer.Option(metavar="FILE.png", help="Draw the array that differs first.", show_default=False)
        ] = None,
        as_json: Json = False,
    ) -> None:
        """Run a model with the same noise on several targets, and show where and when they first differ."""

        def work(console: Console) -> Any:
            names = [name.strip() for name in targets.split(",") if name.strip()]
            if len(names) < 2:
                raise DescriptionError("compare needs two targets or more", got=targets, do="--targets reference,lava")
            document, show = compared(lambda: model_program(model, seed, settings, quick, None), names, trials, out)
            for table in show:
                console.print(table)
            return {"model": model, "trials": trials, "seed": seed, **document}

        command(as_json, work)


def model_program(model: str, seed: int, settings: list[str] | None, quick: bool, weights: Path | None) -> StepProgram:
    """The step program of a model, its weights those of a result where one is given."""
    from neuroplast.ir.discretize import discretize
    from neuroplast.model import model_named
    from neuroplast.overrides import parse_settings

    found = model_named(model)
    values = found.values(quick, parse_settings(settings or [], found.defaults))
    program = discretize(found.network(values, seed), getattr(values, found.dt))
    return program if weights is None else with_weights(program, weights)


def with_weights(program: StepProgram, path: Path) -> StepProgram:
    """The program with the learned arrays of a result as initial values."""
    from neuroplast import results

    state = results.load(path)["state_final"]
    arrays = dict(program.arrays)
    for array in results.learned(program):
        if array not in state.variables or state[array].shape != arrays[array].initial.shape:
            raise ResultError(
                f"the result {path} does not hold '{array}' of this network", got=sorted(map(str, state.variables))[:20],
                do="give the result of the same model with the same parameters",
            )
        arrays[array] = replace(arrays[array], initial=np.asarray(state[array].values, float))
    return replace(program, arrays=arrays)


def without_learning(program: StepProgram) -> StepProgram:
    """The program with weights that stay as they are."""
    from neuroplast.ir.program import EndLearn, Learn

    after, end = (tuple(op for op in ops if not isinstance(op, (Learn, EndLearn))) for ops in (program.after, program.trial_end))
    return replace(program, after=after, trial_end=end)


def deployed(
    program: StepProgram, target: str, precision: str, trials: int, plasticity: str = "process", headroom: float | None = None
) -> dict[str, Any]:
    """Quantise, prepare, run: what changed, what it takes, what it measured (of each trial, and the mean)."""
    from neuroplast.backends.lava.target import Lava
    from neuroplast.backends.reference import Recorder
    from neuroplast.backends.targets import target_named
    from neuroplast.ir.tasks import task_caller
    from neuroplast.quantize.quantize import quantize
    from neuroplast.quantize.resources import resources

    takes: list[dict[str, Any]] = []
    if precision == "fixed":
        quantized = quantize(program, plasticity=plasticity, headroom=headroom)
        program = quantized.program
        takes = [{"resource": r.name, "used": round(r.used, 1), "available": r.available, "fits": r.fits} for r in resources(quantized)]
    executable = (Lava() if target == "lava" else target_named(target)).prepare(program, task_caller(program))
    measured: dict[str, list[float]] = {name: [] for name in program.measures}

    def after_trial(_: int, arrays: dict[str, np.ndarray]) -> bool:
        for name, array in program.measures.items():
            measured[name].append(float(arrays[array][0]))
        return True

    try:
        recorder = Recorder(program.recordings, {r.name: set() for r in program.recordings}, program.passes)
        executable.run(trials, recorder, after_trial)
        if precision == "fixed":
            from neuroplast.quantize.rewrite import check_overflow

            check_overflow(program, executable.arrays, quantized.formats)
    finally:
        executable.close()
    return {
        "lowering": executable.report.rows(), "resources": takes,
        "measures": {name: float(np.mean(values)) for name, values in measured.items()}, "trial_measures": measured,
    }


def compared(
    program: Callable[[], StepProgram], names: list[str], trials: int, out: Path | None
) -> tuple[dict[str, Any], list[Table]]:
    """Run on every target and compare with the first: (document, tables)."""
    from neuroplast.backends.targets import target_named
    from neuroplast.compare import differences, observe, picture

    runs = [observe(name, program(), target_named(name), trials) for name in names]  # made anew: a task written in Python remembers
    document: dict[str, Any] = {"reference": names[0], "targets": {}}
    tables = []
    worst = None
    for run in runs[1:]:
        found = differences(runs[0], run)
        apart = [d for d in found if d.trial is not None]
        worst = worst or (apart[0].array if apart else None)
        rows = [
            {"array": d.array, "trial": d.trial, "step": d.step, "unit": d.unit, names[0]: d.one, run.label: d.other, "largest": d.largest}
            for d in apart
        ]
        largest = max((d.largest for d in found), default=0.0)
        document["targets"][run.label] = {
            "arrays": len(found), "differ": len(apart), "equal_bits": sum(d.largest == 0.0 for d in found), "largest": largest,
            "first": rows[:1], "all": rows,
        }
        title = f"{run.label}: {len(apart)} of {len(found)} arrays differ from {names[0]}"
        title += " (bit for bit)" if largest == 0.0 else f" (largest distance {largest:.2g})"
        columns = ("array", "trial", "step", "unit", names[0], run.label, "largest")
        tables.append(_table([{k: _short(v) for k, v in row.items()} for row in rows[:SHOWN]], columns, title))
    if out is not None and worst is not None:
        document["picture"] = str(picture([run for run in runs if worst in run.values], worst, out))
    return document, tables


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _table(rows: list[dict[str, Any]], columns: tuple[str, ...], title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(str(row[column]) for column in columns))
    return table


__all__ = ["compared", "deployed", "model_program", "register", "with_weights", "without_learning"]
