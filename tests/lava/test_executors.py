"""The executors: bit-identical to each other, and every failure that is known of Lava ends in an error and leaves nothing behind."""

# Lava is an extra, and its annotations are loose:
# pyright: reportMissingImports=false, reportMissingModuleSource=false, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportOptionalMemberAccess=false, reportIndexIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false
from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from neuroplast.backends.lava.errors import LavaError, LavaNotAvailable
from neuroplast.backends.lava.inprocess import InProcess
from neuroplast.backends.lava.multiprocess import Multiprocess
from neuroplast.backends.lava.stock import stock_models

sys.path.insert(0, str(Path(__file__).parent))
from processes import LIF, Faulty, FaultyModel, LearningDense, RingBuffer, chain, faulty_models, ring

BOTH = pytest.mark.parametrize("executor", [InProcess, Multiprocess], ids=["inprocess", "multiprocess"])
PRECISIONS = pytest.mark.parametrize("precision", ["float", "fixed"])


def two_lif(precision: str, **parameters: float) -> dict:
    lif = LIF(shape=(2,), **parameters)
    return stock_models([lif], precision)


@PRECISIONS
def test_same_bits_as_lavas_own_runtime(precision: str):
    seen = []
    for executor in (InProcess, Multiprocess):
        processes = chain(2, 12, precision)
        with executor(stock_models(processes, precision)) as network:
            values = []
            for steps in (1, 59, 40):
                network.run(steps)
                values += [network.get(p, n) for p in processes for n in ("u", "v", "a_buff") if n in p.vars.member_names]
            seen.append(values)
    moved = [np.any(a != b) for a, b in zip(seen[0][: len(seen[0]) // 3], seen[0][-len(seen[0]) // 3 :], strict=True)]
    assert all(moved), "a network at rest shows nothing"
    for one, other in zip(*seen, strict=True):
        assert np.array_equal(one, other)


@PRECISIONS
def test_learning_has_the_same_bits(precision: str):
    from lava.magma.core.learning.learning_rule import Loihi2FLearningRule

    seen = []
    for executor in (InProcess, Multiprocess):
        rng = np.random.default_rng(1)
        spikes = [RingBuffer(data=(rng.random((5, 30)) < 0.4).astype(int)) for _ in range(2)]
        rule = Loihi2FLearningRule(
            dw="2*x1*y0 - y1*x0", x1_impulse=16, x1_tau=8, y1_impulse=16, y1_tau=8, t_epoch=1, rng_seed=3
        )
        synapses = LearningDense(weights=np.full((5, 5), 20), learning_rule=rule)
        lif = LIF(shape=(5,), du=0, dv=0, vth=10)
        spikes[0].s_out.connect(synapses.s_in)
        synapses.a_out.connect(lif.a_in)
        spikes[1].s_out.connect(synapses.s_in_bap)
        with executor(stock_models([*spikes, synapses, lif], precision)) as network:
            network.run(60)
            seen.append((network.get(synapses, "weights"), network.get(lif, "v")))
    assert np.any(seen[0][0] != 20)
    assert all(np.array_equal(a, b) for a, b in zip(*seen, strict=True))


def test_in_process_is_faster_than_lavas_own_runtime():
    """Of the order of ten times for ten processes; a test that shares its machine asks for less."""
    seconds = []
    for executor in (InProcess, Multiprocess):
        with executor(stock_models(chain(4, 10, "float"), "float")) as network:
            network.run(20)
            begun = time.perf_counter()
            network.run(200)
            seconds.append(time.perf_counter() - begun)
    print(f"10 processes: {[round(s / 200 * 1e6) for s in seconds]} us/step, ratio {seconds[1] / seconds[0]:.1f}")
    assert seconds[1] > 3 * seconds[0]


@BOTH
@pytest.mark.parametrize("faults", [("raising",), ("raising", ""), ("", "raising", "")], ids=["alone", "waited for", "in a ring"])
def test_what_a_model_raises_is_raised(executor: type, faults: tuple[str, ...]):
    network = executor(faulty_models(*faults))
    with pytest.raises(LavaError, match="boom at step 3") as caught:
        network.run(10)
    lines = str(caught.value) + repr(caught.value.__cause__)
    assert "ValueError" in lines
    network.close()


@BOTH
def test_a_model_that_cannot_be_made(executor: type):
    with pytest.raises(LavaError, match="boom while it is made"):
        executor(faulty_models("", "making"))


def test_a_process_that_dies():
    network = Multiprocess(faulty_models("dying", ""))
    with pytest.raises(LavaError, match="SystemExit"):
        network.run(10)
    network = Multiprocess(faulty_models("sleeping", ""))
    threading.Timer(0.5, lambda: network._runtimes[0].infrastructure.actors[0].kill()).start()
    with pytest.raises(LavaError, match="died with exit code -9"):
        network.run(10)


@pytest.mark.parametrize("faults", [("receiving first", "receiving first"), ("silent", "")], ids=["both wait", "one says nothing"])
def test_deadlock(faults: tuple[str, ...]):
    with InProcess(faulty_models(*faults)) as network, pytest.raises(LavaError, match="deadlock in time step 1"):
        network.run(3)
    with pytest.raises(LavaError, match=r"no progress for 1 s(.|\n)*step 1"):
        Multiprocess(faulty_models(*faults), patience=1.0).run(3)


def test_in_process_goes_on_after_an_error():
    """Messages that were on their way are gone, so that the next step is a whole one."""
    processes = ring("raising", "", at=3)
    with InProcess(dict.fromkeys(processes, FaultyModel)) as network:
        with pytest.raises(LavaError):
            network.run(5)
        network.models[processes[0]].fault = ""
        network.run(4)
        assert network.get(processes[0], "steps") == 6


def test_lavas_learning_neuron_that_sends_nothing():
    """Lava's LearningLIF has learning ports on which its models never send: whoever listens waits for ever."""
    from lava.magma.core.learning.learning_rule import Loihi3FLearningRule
    from lava.proc.lif.process import LearningLIF

    def models() -> dict:
        rule = Loihi3FLearningRule(dw="u0*x1*y1", x1_impulse=16, x1_tau=8)
        synapses = LearningDense(weights=np.ones((2, 2)), learning_rule=rule)
        neurons = LearningLIF(shape=(2,), learning_rule=rule)
        synapses.a_out.connect(neurons.a_in)
        neurons.s_out_bap.connect(synapses.s_in_bap)
        neurons.s_out_y1.connect(synapses.s_in_y1)
        return stock_models([synapses, neurons], "float")

    with InProcess(models()) as network, pytest.raises(LavaError, match="deadlock"):
        network.run(2)
    with pytest.raises(LavaError, match="no progress"):
        Multiprocess(models(), patience=1.0).run(2)


def test_variables_that_lava_cannot_read():
    models = two_lif("float", vth=10.5)
    lif = next(iter(models))
    with Multiprocess(models) as network:
        for use in (lambda: network.get(lif, "vth"), lambda: network.set(lif, "vth", 3.0)):
            with pytest.raises(LavaError, match="'vth'"):
                use()
        network.run(1)
    models = two_lif("float", vth=10.5)
    with InProcess(models) as network:
        assert network.get(next(iter(models)), "vth") == 10.5


def test_a_threshold_that_would_be_ignored():
    models = two_lif("fixed", vth=10, bias_mant=100, dv=0)
    lif = next(iter(models))
    with InProcess(models) as network:
        network.set(lif, "vth", 2)
        network.run(2)
        assert not np.any(network.get(lif, "v"))  # 200 > 2 << 6: it fired
        with pytest.raises(LavaError, match="first time step only"):
            network.set(lif, "vth", 10)


@BOTH
def test_values_can_be_set_between_runs(executor: type):
    models = two_lif("float", vth=10, dv=0.5)
    lif = next(iter(models))
    with executor(models) as network:
        network.set(lif, "v", [4.0, 8.0])
        assert np.array_equal(network.get(lif, "v"), [4.0, 8.0])
        network.run(1)
        assert np.array_equal(network.get(lif, "v"), [2.0, 4.0])
        with pytest.raises(LavaError, match="Did you mean 'vth'"):
            network.get(lif, "vht")


@BOTH
def test_after_the_end(executor: type):
    models = two_lif("float")
    network = executor(models)
    network.close()
    network.close()
    for use in (lambda: network.run(1), lambda: network.get(next(iter(models)), "v") if executor is Multiprocess else network.run(1)):
        with pytest.raises(LavaError, match="is closed"):
            use()


@BOTH
def test_only_whole_numbers_of_steps(executor: type):
    from lava.magma.core.run_conditions import RunContinuous

    with executor(two_lif("float")) as network:
        for steps in (RunContinuous(), -1, 1.5, True):
            with pytest.raises(LavaError, match="whole number"):
                network.run(steps)


def test_every_process_draws_its_own_numbers():
    processes = ring("", "")
    with Multiprocess(dict.fromkeys(processes, FaultyModel)) as network:
        network.run(1)
        first, second = (float(network.get(p, "drawn")[0]) for p in processes)
    assert first != second


def test_a_process_without_a_model():
    first, second = ring("", "")
    with pytest.raises(LavaError, match="has no process model"):
        InProcess({first: FaultyModel})
    assert isinstance(second, Faulty)


def test_networks_that_are_not_connected():
    models = {**faulty_models("", ""), **faulty_models("")}
    with InProcess(models) as network:
        network.run(5)
        assert all(network.get(p, "steps") == 5 for p in models)


AT_EXIT = {
    "without stop": "network = Multiprocess(faulty_models('', '')); network.run(2); print('end', flush=True)",
    "an error of the user": "network = Multiprocess(faulty_models('', '')); network.run(2); raise KeyError('mine')",
    "cannot be made": "Multiprocess(faulty_models('', 'making'))",
    "a local variable": "def f():\n    n = Multiprocess(faulty_models('', ''))\n    n.run(2)\n    raise KeyError('mine')\nf()",
    "start method chosen before": "print('end', flush=True)",
}


@pytest.mark.parametrize("name", AT_EXIT)
def test_the_interpreter_ends(name: str):
    """Lava hangs at exit in all of these."""
    start = "import multiprocessing; multiprocessing.set_start_method('spawn')\n" if "chosen" in name else ""
    code = (
        f"{start}import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\nfrom processes import faulty_models\n"
        f"from neuroplast.backends.lava.multiprocess import Multiprocess\n{AT_EXIT[name]}\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)
    expected = {"cannot be made": "boom while it is made", "without stop": "end", "start method chosen before": "end"}
    assert expected.get(name, "KeyError: 'mine'") in done.stdout + done.stderr
    assert (done.returncode == 0) == ("end" in done.stdout)


def test_ctrl_c(tmp_path: Path):
    """The run ends with KeyboardInterrupt, and so does the program, with nothing left of the network."""
    code = (
        f"import sys, os, signal, threading; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from processes import faulty_models\nfrom neuroplast.backends.lava.multiprocess import Multiprocess\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\nnetwork = Multiprocess(faulty_models('sleeping', ''))\n"
        "threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n"
        "try:\n    network.run(10)\nexcept KeyboardInterrupt:\n    print('heard', flush=True)\n"
        "import multiprocessing; print(len(multiprocessing.active_children()), 'left')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)
    assert "heard" in done.stdout and "0 left" in done.stdout


def test_without_fork(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda: "spawn")
    with pytest.raises(LavaError, match="forked"):
        Multiprocess(two_lif("float"))


def test_an_unknown_version(monkeypatch: pytest.MonkeyPatch):
    from neuroplast.backends.lava import compat

    monkeypatch.delitem(sys.modules, "lava.magma.core.process.process")
    for version, message in ((None, "not installed"), ("0.11.0", "not known")):
        monkeypatch.setattr(compat, "installed", lambda version=version: version)
        with pytest.raises(LavaNotAvailable, match=message):
            compat.require_lava()


def _left() -> tuple[int, int, int, int, int]:
    from lava.magma.core.process.process import ProcessServer

    gc.collect()
    files = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    handlers = len(logging.getLogger().handlers) + len(logging.getLogger("lava.magma.compiler.compiler").handlers)
    return len(multiprocessing.active_children()), threading.active_count(), files, handlers, len(ProcessServer().processes)


@pytest.mark.parametrize(("executor", "count"), [(InProcess, 100), (Multiprocess, 10)], ids=["inprocess", "multiprocess"])
def test_nothing_is_left_behind(executor: type, count: int):
    """No process, thread, open file, log handler or registered process after networks are built, run and stopped."""

    def once() -> None:
        from neuroplast.backends.lava.network import tidy

        with tidy():
            processes = chain(1, 3, "float")
        with executor(stock_models(processes, "float")) as network:
            network.run(2)

    once()
    before = _left()
    for _ in range(count):
        once()
    after = _left()
    assert after[1] <= before[1] + 1 and after[2] <= before[2] + 3, (before, after)
    assert (after[0], *after[3:]) == (before[0], *before[3:])
