"""Checks each Spin model, and that each bug planted in it is found.

    check.py [--jobs N] [MODEL.pml...]      all models of this folder, when none is named
    check.py --keep FOLDER MODEL.pml BUG    one planted bug (or `good`); its trail stays in FOLDER

A planted bug is what a model does under `#ifdef BUG_...` or `#ifdef NO_FENCE...`.  Each variant is
searched to the end twice: for safety (assertions, nobody waits for ever) and for the model's ltl
formula under weak fairness.  The good one must have no error; a search that ends early, for memory
or depth, is a failure.  Of a planted bug, either search must find an error.
"""

import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PLANTED = re.compile(r"#\s*if(?:n?def)?\s+(BUG_\w+|NO_FENCE\w*)")
SEARCHES = {"safety": (["-DSAFETY", "-DNOCLAIM"], []), "liveness": (["-DNFAIR=8"], ["-a", "-f"])}
DEPTH_MAX = 1000000
MEMORY_MAX_MB = 1024
TIMEOUT_S = 300
SKIPPED = 77  # as tests/CMakeLists.txt tells ctest


class Broken(Exception):
    """A model that cannot be searched: not a finding."""


def call(command, folder):
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise Broken(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


def search(model, variant, kind, folder):
    """(errors, states, megabytes, output) of one search."""
    compiled, run = SEARCHES[kind]
    shutil.copy(model, folder)
    defined = [] if variant == "good" else [f"-D{variant}"]
    call(["spin", *defined, "-a", model.name], folder)
    call(["cc", "-w", "-O1", f"-DMEMLIM={MEMORY_MAX_MB}", "-DVECTORSZ=2048", *compiled, "-o",
          "pan", "pan.c"], folder)
    output = call(["./pan", *run, f"-m{DEPTH_MAX}"], folder)
    errors = re.search(r"errors: (\d+)", output)
    states = re.search(r"(\d+) states, stored", output)
    memory = re.search(r"([\d.]+)\s+total actual memory usage", output)
    if errors is None or states is None:
        raise Broken(output)
    early = "Search not completed" in output or "out of memory" in output or "too small" in output
    if early and int(errors[1]) == 0:
        raise Broken(f"the search did not come to its end\n{output}")
    return int(errors[1]), int(states[1]), float(memory[1]) if memory else 0, output


def check(model, variant, keep=None):
    """(lines of the table, why it failed or None) of one variant of one model."""
    rows, found, why = [], 0, None
    for kind in SEARCHES:
        folder = Path(tempfile.mkdtemp(prefix="spin.", dir=keep))
        began_s = time.monotonic()
        try:
            errors, states, megabytes, output = search(model, variant, kind, folder)
        except (Broken, subprocess.TimeoutExpired) as problem:
            return rows, f"{model.name} {variant} {kind}: {problem}"
        finally:
            if keep is None:
                shutil.rmtree(folder, ignore_errors=True)
        found += errors
        rows.append(f"{model.stem:8} {variant:28} {kind:9} {states:9} {errors:6} {megabytes:6.0f}"
                    f" {time.monotonic() - began_s:7.1f}")
        if keep is not None:
            print(f"{folder}\n{output}")
        if variant == "good" and errors:
            why = f"{model.name} {kind}: an error\n{output}"
        if why is not None or (variant != "good" and found):
            break
    if variant != "good" and not found:
        why = f"{model.name}: {variant} is planted and was not found"
    return rows, why


def variants(model):
    return ["good", *sorted(set(PLANTED.findall(model.read_text())))]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--keep")
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    if shutil.which("spin") is None:
        print("no spin on PATH: no model was checked; sh .ci/install_packages.sh spin, or see"
              " spinroot.com")
        return SKIPPED
    if given.keep:
        Path(given.keep).mkdir(parents=True, exist_ok=True)
        name, variant = given.names
        rows, why = check(Path(name).resolve(), variant, Path(given.keep).resolve())
        print("\n".join([*rows, why or ""]))
        return 1 if why else 0
    models = [Path(name).resolve() for name in given.names] or sorted(HERE.glob("*.pml"))
    tasks = [(model, variant) for model in models for variant in variants(model)]
    failures = []
    print(f"{'model':8} {'variant':28} {'search':9} {'states':>9} {'errors':>6} {'MB':>6}"
          f" {'seconds':>7}")
    with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
        for rows, why in pool.map(lambda task: check(*task), tasks):
            print("\n".join(rows), flush=True)
            failures += [why] if why else []
    for why in failures:
        print(f"FAILED {why}")
    print(f"{len(tasks) - len(failures)} passed, {len(failures)} failed")
    return 1 if failures or not tasks else 0


if __name__ == "__main__":
    sys.exit(main())
