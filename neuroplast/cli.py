"""The command line: ``neuroplast list | run | reproduce | sweep | report | deploy | compare | doctor | bench``.

Exit codes: 0 done, 1 a claim fails (reproduce) or something needed is missing (doctor), 2 an error (or a claim that could not be
measured), 130 interrupted. With --json there is a document in each case; an error's is {"error": {"kind", "what", ...}}.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from neuroplast import display
from neuroplast.deploy import register
from neuroplast.errors import NeuroplastError, ResultError
from neuroplast.spans import spans

UsageError: Any = typer.BadParameter.__mro__[1]
"""Click's, wherever this version of Typer keeps it."""


class Commands(TyperGroup):
    """With --json, wrong options are a document too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta["neuroplast.json"] = "--json" in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except UsageError as error:
            if ctx.meta["neuroplast.json"]:
                _print_document({"error": {"kind": "UsageError", "what": error.format_message()}})
            raise


app = typer.Typer(
    name="neuroplast", cls=Commands, no_args_is_help=True, add_completion=True, pretty_exceptions_show_locals=False,
    rich_markup_mode="rich",
    help="Networks that learn by noise-driven three-factor plasticity: run published models, and check what they claim.",
)

ModelName = Annotated[str, typer.Argument(help="Name of the model; see [bold]neuroplast list[/].", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output, and nothing else there.")]
Quick = Annotated[bool, typer.Option("--quick", help="A smaller, honest version that ends within two minutes on two cores.")]
Target = Annotated[
    str | None,
    typer.Option(
        help="Where to run: reference, brian2, compiled, ..., in integers compiled:fixed, ... (default: the fastest).", show_default=False
    ),
]


@app.command("list")
def list_models(as_json: Json = False) -> None:
    """List the models that can be run."""
    from neuroplast.model import models

    def work(console: Console) -> Any:
        found = sorted(models().values(), key=lambda model: model.name)
        console.print(display.model_table(found))
        return [
            {
                "model": model.name, "title": model.title, "citation": model.citation, "doi": model.doi,
                "claims": [claim.name for claim in model.claims], "parameters": model.parameter_table(model.values()),
            }
            for model in found
        ]

    _command(as_json, work)


@app.command()
def run(
    model: ModelName,
    target: Target = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Number of trials (default: the model's).")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of all random numbers (default: 0).")] = None,
    seeds: Annotated[
        int | None, typer.Option(metavar="N", help="Run N seeds side by side, from --seed on, into one result.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PARAMETER=VALUE", help='Change a parameter, such as "tau=20 ms". May be repeated.'),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder to write (default: results/MODEL-SEED, or -FIRST-to-LAST).", show_default=False),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder, where it was stopped.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the run that is in the folder.")] = False,
    quick: Quick = False,
    as_json: Json = False,
    checkpoint_every: Annotated[float, typer.Option(metavar="SECONDS", min=0.0, help="Time between checkpoints.")] = 30.0,
) -> None:
    """Run a model: train it, save the result, and draw its report.

    Ctrl-C stops after the current trial; [bold]--resume[/] goes on from there (or from the last checkpoint, if the machine went
    down) and ends in exactly the same result as a run that was not interrupted. A finished run is never replaced unasked: the same
    command again shows what is there.
    """
    from neuroplast.model import model_named
    from neuroplast.runs import Order, carry_out, resume_command

    def work(console: Console) -> Any:
        found = model_named(model)
        order = Order(model, target, trials, seed, tuple(settings) if settings else None, quick or None, seeds)
        first = seed or 0
        label = f"{model} seed {first}" if seeds is None else f"{model} seeds {spans(list(range(first, first + seeds)))}"
        with display.Watch(Console(stderr=True), found.learning_measure) as watch:
            watch.wait(label)
            done = carry_out(order, out, resume, lambda progress: watch.show(label, progress), checkpoint_every, force)
        for warning in done.warnings:
            console.print(f"warning: {warning}", style="yellow", markup=False, highlight=False)
        document = done.document()
        console.print(display.measure_table(document["measures"]))
        for kind in ("result", "report"):
            if kind in done.files:
                console.print(f"{kind}: {done.files[kind]}", highlight=False, soft_wrap=True)
        if done.found:
            console.print(
                f"This run was finished before, in {done.folder}: nothing was run.", "Run it again:  --force",
                "Make it longer:  --resume --trials N", "Write to another folder:  --out DIR", sep="\n", highlight=False, soft_wrap=True,
            )
        if not done.finished:
            console.print("Interrupted. Go on with:", f"  {resume_command(done.order, done.folder)}", sep="\n", soft_wrap=True)
            return document, 130
        return document

    _command(as_json, work)


@app.command()
def reproduce(
    models: Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...", help="Names of models (default: all).")] = None,
    target: Target = None,
    quick: Quick = False,
    as_json: Json = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for finished runs (default: results/reproduce).", show_default=False),
    ] = None,
) -> None:
    """Measure the claims of the papers: for each, what is expected, what was measured, and whether it holds.

    Finished runs are kept in the folder: an interrupted reproduction goes on when the same command is given again.
    """
    from neuroplast.lab import Lab, judge
    from neuroplast.model import model_named
    from neuroplast.model import models as all_models
    from neuroplast.simulation import usable_target

    def work(console: Console) -> Any:
        chosen = [model_named(name) for name in models] if models else list(all_models().values())
        folder = out or Path("results") / ("reproduce-quick" if quick else "reproduce")
        usable_target(target)  # what cannot run here is one error, not one for each claim
        verdicts = []
        for model in chosen:
            with display.Watch(Console(stderr=True), model.learning_measure) as watch:
                lab = Lab(model, quick=quick, target=target, folder=folder, watch=watch.show)
                for claim in model.claims:
                    watch.wait(f"{model.name}: {claim.name}")
                    verdicts.append(judge(claim, lab))
                    watch.console.print(f"{model.name}: {claim.name}:", display.verdict_text(verdicts[-1]), highlight=False)
        for model in chosen:
            console.print(display.verdict_table(model.name, [verdict for verdict in verdicts if verdict.model == model.name]))
        fails, broke_down = any(verdict.verdict == "fails" for verdict in verdicts), any(verdict.broke_down for verdict in verdicts)
        return [verdict.row() for verdict in verdicts], 1 if fails else 2 if broke_down else 0

    _command(as_json, work)


@app.command()
def sweep(
    model: ModelName,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PARAMETER=V1,V2", help='Values of a parameter, such as "tau=10,20 ms". May be repeated.'),
    ] = None,
    seeds: Annotated[int, typer.Option(metavar="N", help="Seeds at each point, from 0 on.")] = 1,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of a Dask scheduler (default: this machine's cores).", show_default=False)
    ] = None,
    target: Target = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Number of trials (default: the model's).")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder to write (default: results/MODEL-sweep).", show_default=False)
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes on this machine (default: one for each core).")] = None,
    quick: Quick = False,
    as_json: Json = False,
    checkpoint_every: Annotated[float, typer.Option(metavar="SECONDS", min=0.0, help="Time between checkpoints.")] = 30.0,
) -> None:
    """Run a model at every combination of parameter values and seeds, on Dask: one file each, and one of all.

    The same command again goes on where a sweep was stopped: finished points are kept, others go on from their checkpoints.
    """
    from neuroplast.model import model_named
    from neuroplast.sweep import POINTS, RESULT, parse_axes
    from neuroplast.sweep import sweep as run_sweep

    def work(console: Console) -> Any:
        found = model_named(model)
        axes = parse_axes(settings or (), found.defaults)
        folder = out or Path("results") / f"{model}-sweep"
        with display.Watch(Console(stderr=True), None) as watch:
            watch.wait(f"{model}: points")
            tree = run_sweep(
                found, axes, seeds, folder, trials=trials, quick=quick, target=target, scheduler=scheduler, workers=workers,
                checkpoint_every=checkpoint_every, progress=lambda progress: watch.show(f"{model}: points", progress),
            )
        console.print(f"result: {folder / RESULT}", f"points: {folder / POINTS}", sep="\n", highlight=False, soft_wrap=True)
        sizes = {str(name): int(size) for name, size in tree.sizes.items()}
        files = {"result": str(folder / RESULT), "points": str(folder / POINTS)}
        return {"model": model, "points": int(tree.attrs["points"]), "axes": sizes, "files": files}

    _command(as_json, work)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run.", show_default=False)], as_json: Json = False
) -> None:
    """Draw the report of a run again, from its result file."""

    def work(console: Console) -> Any:
        from neuroplast.report import write_report

        path = write_report(folder)
        console.print(f"report: {path}", highlight=False, soft_wrap=True)
        return {"report": str(path)}

    _command(as_json, work)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what of compilers, simulators, chips and GPUs is here, and how to get what is missing."""
    from neuroplast.doctor import examine

    def work(console: Console) -> Any:
        findings = examine()
        console.print(display.finding_table(findings))
        document = [
            {"part": f.part, "state": f.state, "detail": f.detail, "get": "" if f.ok else f.get, "needed": f.needed}
            for f in findings
        ]
        return document, int(any(f.needed and not f.ok for f in findings))

    _command(as_json, work)


@app.command()
def bench(
    cases: Annotated[list[str] | None, typer.Argument(metavar="[CASE]...", help="Such as song (default: all).")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer repetitions.")] = False,
    as_json: Json = False,
) -> None:
    """Measure speed: ratios between targets in one run (needs a clone of the repository)."""
    script = Path(__file__).resolve().parents[1] / "benchmarks" / "run.py"

    def main() -> Callable[[list[str], bool, bool], int | None]:
        spec = importlib.util.spec_from_file_location("neuroplast_benchmarks", script) if script.exists() else None
        if spec is None or spec.loader is None:
            raise ResultError("the benchmarks are not here", got=script, do="run this in a clone of the repository")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module.main

    with _exits(Console(stderr=True), _print_document if as_json else None):
        raise typer.Exit(main()(list(cases or []), quick, as_json) or 0)


def _command(as_json: bool, work: Callable[[Console], Any]) -> None:
    """Do the work of a command; print its document where asked. ``work`` gives the document, or (document, exit code)."""
    console = Console(stderr=as_json)
    with _exits(console, _print_document if as_json else None):
        with _others_to_stderr() if as_json else contextlib.nullcontext():
            answer = work(Console(stderr=True) if as_json else console)
        document, code = answer if isinstance(answer, tuple) else (answer, 0)
        if as_json:
            _print_document(document)
        if code:
            raise typer.Exit(code)


@contextlib.contextmanager
def _exits(console: Console, say: Callable[[Any], None] | None) -> Iterator[None]:
    """Errors and Ctrl-C as exit codes; with ``say``, an error is a document too."""
    try:
        with display.plain_errors(Console(stderr=True)):
            yield
    except NeuroplastError as error:
        if say is not None:
            about = {"what": error.what, "where": error.where, "got": error.got, "allowed": error.allowed, "do": error.do}
            texts = {name: None if value is None else str(value) for name, value in about.items()}
            say({"error": {"kind": type(error).__name__, **texts}})
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        Console(stderr=True).print("Interrupted.")
        raise typer.Exit(130) from None
    except (typer.Exit, typer.Abort, UsageError):
        raise
    except Exception as error:
        what, kept = f"{type(error).__name__}: {error}", _keep_traceback()
        Console(stderr=True).print(
            f"error: {what}\n  this is not an error that neuroplast foresaw\n  traceback: {kept}", markup=False, highlight=False,
            soft_wrap=True,
        )
        if say is not None:
            say({"error": {"kind": type(error).__name__, "what": what, "traceback": kept}})
        raise typer.Exit(2) from None


def _keep_traceback() -> str:
    """The file that the traceback of the error at hand is written to; the traceback itself where that fails."""
    try:
        with tempfile.NamedTemporaryFile("w", prefix="neuroplast-error-", suffix=".txt", delete=False, encoding="utf-8") as file:
            file.write(traceback.format_exc())
        return file.name
    except OSError:
        return traceback.format_exc()


@contextlib.contextmanager
def _others_to_stderr() -> Iterator[None]:
    """Send whatever tasks, compilers and libraries print to standard error, down to the file descriptor."""
    with contextlib.ExitStack() as stack:
        try:
            number = sys.stdout.fileno()
            kept = os.dup(number)
            sys.stdout.flush()
            os.dup2(sys.stderr.fileno(), number)
            stack.callback(os.close, kept)
            stack.callback(os.dup2, kept, number)
        except OSError:
            pass  # no descriptors, as in a test: the redirection below is then all there is to do
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        yield


def _print_document(document: Any) -> None:
    print(json.dumps(_finite(document), indent=2))


def _finite(value: Any) -> Any:
    """JSON has no NaN: null stands for it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value


register(app, _command)
