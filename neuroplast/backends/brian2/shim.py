"""One C++ file out of Brian2's project, the kernel and a shim; built as a shared library or as a program.

One translation unit, as parsing the headers is most of the cost of Brian2's many files. Each code object stands in a namespace
of its own, because each defines the same helpers. Brian2's ``main`` and ``brian_end`` get other names: the library is driven
from outside, and its state must outlive the first run.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from neuroplast.backends.brian2.project import HOOKS_HEADER, NETWORK, Project
from neuroplast.backends.cpp.emit import configuration
from neuroplast.ir.program import CLOCK, TRIAL, Recording, StepProgram

_HOOKS = """
#pragma once
void neuroplast_hook_before();
void neuroplast_hook_after();
inline double neuroplast_before(double calls) { neuroplast_hook_before(); return calls + 1.0; }
inline double neuroplast_after(double calls) { neuroplast_hook_after(); return calls + 1.0; }
"""

_KERNEL = """
#pragma GCC visibility push(hidden)
#if defined(__clang__)
#define NEUROPLAST_LOOP _Pragma("clang loop vectorize(assume_safety)")
#else
#define NEUROPLAST_LOOP _Pragma("GCC ivdep")
#endif
#define NEUROPLAST_EXPORT extern "C" __attribute__((visibility("default")))
NEUROPLAST_EXPORT void np_configure(const uint64_t* keys, void** initial);
NEUROPLAST_EXPORT void np_bind(void** arrays, int (*callback)(int));
NEUROPLAST_EXPORT void np_before(void);
NEUROPLAST_EXPORT int np_after(void);
NEUROPLAST_EXPORT void np_record(int index, void* buffer);
NEUROPLAST_EXPORT long np_recorded(int index);
"""

_SHARED = """
namespace neuroplast_shim {{
using namespace brian;
static int code = 0;  // what np_after gave last

// Brian2 allocates its arrays in main(); from then on they are the caller's memory
static void adopt(void** arrays) {{
    static char name[] = "neuroplast";
    char* arguments[] = {{name, nullptr}};
    neuroplast_brian_main(1, arguments);
    {adopt}
}}

static void run(double duration) {{
    code = 0;
    {network}.run(duration, NULL, 10.0);
}}
// Denormal numbers are zero while neurons run: silent traces decay into them, and each costs a hundred cycles
static void flush_denormals(bool yes) {{
#if defined(__SSE2__)
    static unsigned before = __builtin_ia32_stmxcsr();
    if (yes) before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(yes ? before | 0x8040u : before);
#endif
}}
static void stop() {{ Network::_globally_stopped = true; }}  // after this step
}}
void neuroplast_hook_before() {{
    np_before();
    neuroplast_shim::flush_denormals(true);
}}
"""

_LIBRARY = """
void neuroplast_hook_after() {{
    neuroplast_shim::flush_denormals(false);
    neuroplast_shim::code = np_after();
    if (neuroplast_shim::code == 2 || neuroplast_shim::code < 0) neuroplast_shim::stop();
}}
NEUROPLAST_EXPORT void neuroplast_adopt(void** arrays) {{ neuroplast_shim::adopt(arrays); }}
// Until the trial ends (2) or the callback stops (-1)
NEUROPLAST_EXPORT int neuroplast_run_trial() {{
    neuroplast_shim::run({trial_duration!r});
    return neuroplast_shim::code;
}}
"""

_PROGRAM = """
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>
namespace neuroplast_shim {{
const size_t bytes[] = {{{bytes}}};                // of each array of the program
const size_t key_bytes = {key_bytes};
const size_t initial_bytes[] = {{{initial_bytes} 0}};  // of each array that starts anew in a trial with values that differ
const size_t sample_bytes[] = {{{sample_bytes} 0}};  // of one sample of each recording
const size_t samples[] = {{{samples} 0}};            // at most, in one trial
const int n_arrays = {n_arrays}, n_recordings = {n_recordings};
const int n_initial = {n_initial};
static std::vector<void*> arrays(n_arrays), initial(n_initial + 1);
static std::vector<std::set<int64_t>> wanted(n_recordings);
static std::vector<std::vector<char>> buffers(n_recordings);
static std::vector<bool> open_(n_recordings);
static int64_t left = 0;
static volatile std::sig_atomic_t interrupted = 0;
static FILE *measures, *records;

static FILE* file(const std::string& name, const char* mode) {{
    FILE* f = std::fopen(name.c_str(), mode);
    if (!f) {{ std::perror(name.c_str()); std::exit(1); }}
    return f;
}}
static void must(bool done, const char* what) {{
    if (!done) {{ std::perror(what); std::exit(1); }}
}}
static void read(FILE* f, void* to, size_t n) {{ must(std::fread(to, 1, n, f) == n, "reading the state"); }}
static void* read_new(FILE* f, size_t n) {{
    void* memory = std::calloc(n + 1, 1);
    must(memory != nullptr, "allocating arrays");
    read(f, memory, n);
    return memory;
}}
static void write(FILE* f, const void* from, size_t n) {{ must(std::fwrite(from, 1, n, f) == n, "writing results"); }}
static int64_t trial() {{ return static_cast<int64_t*>(arrays[{clock}])[{trial}]; }}

static void open_trial() {{
    for (int k = 0; k < n_recordings; k++) {{
        open_[k] = wanted[k].count(trial()) > 0;
        if (open_[k]) buffers[k].resize(sample_bytes[k] * samples[k] + 1);  // a pointer even where nothing is connected
        np_record(k, open_[k] ? buffers[k].data() : nullptr);
    }}
}}
static void close_trial() {{
    {measures}
    for (int k = 0; k < n_recordings; k++) if (open_[k]) {{
        const int64_t head[] = {{k, trial() - 1, np_recorded(k)}};
        write(records, head, sizeof head);
        write(records, buffers[k].data(), sample_bytes[k] * head[2]);
    }}
}}
static void after() {{
    flush_denormals(false);
    code = np_after();
    if (code != 2) return;
    close_trial();
    if (--left > 0 && !interrupted) open_trial(); else stop();
}}
static int program(int argc, char** argv) {{
    if (argc != 2) {{ std::fprintf(stderr, "usage: %s FOLDER\\n", argv[0]); return 2; }}
    const std::string folder = std::string(argv[1]) + "/";
    FILE* in = file(folder + "input", "rb");
    read(in, &left, sizeof left);
    const double trials = static_cast<double>(left);
    for (auto& set : wanted) {{
        int64_t n, number;
        read(in, &n, sizeof n);
        while (n-- > 0) {{ read(in, &number, sizeof number); set.insert(number); }}
    }}
    void* keys = read_new(in, key_bytes);
    for (int k = 0; k < n_initial; k++) initial[k] = read_new(in, initial_bytes[k]);
    for (int k = 0; k < n_arrays; k++) arrays[k] = read_new(in, bytes[k]);
    std::fclose(in);
    measures = file(folder + "measures", "wb");
    records = file(folder + "records", "wb");
    adopt(arrays.data());
    np_configure(static_cast<const uint64_t*>(keys), initial.data());
    np_bind(arrays.data(), nullptr);
    std::signal(SIGINT, [](int) {{ interrupted = 1; }});
    open_trial();
    run(trials * {trial_duration!r});
    FILE* out = file(folder + "state", "wb");
    for (int k = 0; k < n_arrays; k++) write(out, arrays[k], bytes[k]);
    must(std::fclose(out) == 0 && std::fclose(measures) == 0 && std::fclose(records) == 0, "writing results");
    return left == 0 || interrupted ? 0 : 3;
}}
}}
void neuroplast_hook_after() {{ neuroplast_shim::after(); }}
int main(int argc, char** argv) {{ return neuroplast_shim::program(argc, argv); }}
"""


def library_source(program: StepProgram, project: Project, kernel: str) -> str:
    """C++ of a library with ``neuroplast_adopt(arrays)``, ``neuroplast_run_trial()`` and the kernel's own functions."""
    return _unit(program, project, kernel, _LIBRARY.format(trial_duration=_trial_duration(program)))


def program_source(program: StepProgram, project: Project, kernel: str) -> str:
    """C++ of a program ``main FOLDER`` that reads FOLDER/input and writes FOLDER/state, measures and records.

    input: int64 trials; for each recording int64 n and n numbers of trials; what ``configuration`` of the kernel gives;
    the arrays. state: the arrays. measures: for each
    trial its measures (float64). records: int64 recording, trial, samples, then the samples, again and again.
    """
    names = list(program.arrays)
    sizes = {name: array.initial.nbytes for name, array in program.arrays.items()}
    shapes = [sample_shape(program, r) for r in program.recordings]
    keys, initial = configuration(program)
    driver = _PROGRAM.format(
        key_bytes=keys.nbytes, initial_bytes="".join(f"{array.nbytes}, " for array in initial), n_initial=len(initial),
        bytes=", ".join(str(size) for size in sizes.values()),
        sample_bytes="".join(f"{s[1] * (1 if r.spikes else 8)}, " for s, r in zip(shapes, program.recordings, strict=True)),
        samples="".join(f"{samples}, " for samples, _ in shapes),
        n_arrays=len(names), n_recordings=len(program.recordings), clock=names.index(CLOCK), trial=TRIAL,
        measures="\n    ".join(f"write(measures, arrays[{names.index(a)}], 8);" for a in program.measures.values()),
        trial_duration=_trial_duration(program),
    )
    return _unit(program, project, kernel, driver)


def sample_shape(program: StepProgram, recording: Recording) -> tuple[int, int]:
    """The most samples that a recording takes in one trial, and the values of each."""
    width = program.arrays[recording.array].initial.size if recording.units is None else len(recording.units)
    return program.steps // recording.stride if recording.stride else 1, width


def _trial_duration(program: StepProgram) -> float:
    """Seconds that cover a trial; the kernel ends it."""
    return (program.passes * program.steps + 1) * program.dt


def _unit(program: StepProgram, project: Project, kernel: str, driver: str) -> str:
    files = {**project.files, HOOKS_HEADER: _HOOKS}
    included: set[str] = set()
    parts = [_KERNEL, kernel]  # before Brian2's headers, which say ``using namespace std``
    parts += [_inline(name, files, included) for name in files if name.endswith(".h")]
    plain = [name for name in files if name.endswith(".cpp") and not name.startswith("code_objects/") and name != "main.cpp"]
    # up to 2.9 the loop over steps asks for the time in each of them, which costs as much as two hundred neurons
    parts += [_inline(name, files, included).replace("std::clock()", "std::clock_t()") for name in plain]
    parts += ["#define main neuroplast_brian_main", "#define brian_end neuroplast_brian_end", "static void brian_end() {}"]
    parts += [_inline("main.cpp", files, included), "#undef main", "#undef brian_end"]
    names = list(program.arrays)
    adopt = "\n    ".join(
        f"delete[] {pointer}; {pointer} = static_cast<double*>(arrays[{names.index(array)}]);"
        for array, pointer in project.pointers.items()
    )
    parts += [_SHARED.format(adopt=adopt, network=NETWORK), driver]
    for k, name in enumerate(n for n in files if n.startswith("code_objects/") and n.endswith(".cpp")):
        # a population's arrays never overlap, which the compiler cannot know: with this it makes vector code
        text = _inline(name, files, included).replace(_NEURON_LOOP, f"NEUROPLAST_LOOP {_NEURON_LOOP}")
        parts.append(f"namespace neuroplast_unit_{k} {{\n{text}\n}}")
        parts += [f"void {f}() {{ neuroplast_unit_{k}::{f}(); }}" for f in re.findall(r"^void (_\w+)\(\)$", text, re.MULTILINE)]
    return "\n".join([_system_headers({**files, "kernel": kernel, "driver": driver}), *parts]) + "\n"


_NEURON_LOOP = "for(int _idx=0; _idx<_N; _idx++)"
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"][^\n]*$', re.MULTILINE)


def _own(name: str, including: str, files: dict[str, str]) -> str | None:
    """The file of the project that an include names, if it is one."""
    beside = str(PurePosixPath(including).parent / name)
    return next((n for n in (name, beside) if n in files), None)


def _system_headers(files: dict[str, str]) -> str:
    """Every header that does not belong to the project: before any namespace is open or visibility is set."""
    names = {
        name for file, text in files.items() for name in _INCLUDE.findall(text) if _own(name, file, files) is None
    }
    return "\n".join(f"#include <{name}>" for name in sorted(names))


def _inline(name: str, files: dict[str, str], included: set[str]) -> str:
    """The text of a file with the project's own headers put in place once each."""
    if name in included:
        return ""
    included.add(name)

    def header(match: re.Match[str]) -> str:
        own = _own(match[1], name, files)
        return "" if own is None else _inline(own, files, included)

    return f"// {name}\n{_INCLUDE.sub(header, files[name])}"
