#!/usr/bin/env python3
"""Plants bugs, one at a time, and demands that the simulator finds each of them.

    mutants.py [--seeds N] [--keep FOLDER] [NAME...]   plants, explores, prints the table
    mutants.py --applies                               only: does every patch still apply, and
                                                       stand in the table of tests/README.md?
    mutants.py --self-test                             does this program fail when it should?

A mutant is a patch in mutants/: what is wrong and which promise that breaks, in words, above the
first "---" line, then a mistake that somebody could make.  The tree is copied, built once, and for
each patch built again where it has changed; never the tree itself is touched.  Then the scenarios
run by turns, `rollcall sim`, until one does not hold, with N seeds in all at most.

Exits with 1 when a mutant is not found, a patch does not apply, or the tree fails without any.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MUTANTS = HERE / "mutants"
README = ROOT / "tests/README.md"
ROW = re.compile(r"^\| `(\w+)` \| [\w-]+ \| \w+ \| \d+ \|$", re.M)
BUILT_FROM = (".ci", "CMakeLists.txt", "README.md", "LICENSE", "actors", "bench", "proto", "src",
              "tests")
SEEDS, STEPS = 30000, 1000
FIRST_ROUND, ROUNDS_GROW = 20, 5
TURN_TIMEOUT_S = 300


class Broken(Exception):
    """What cannot be tried at all, in a sentence."""


def patch(tree, mutant, *options):
    done = subprocess.run(["patch", "--strip=1", "--batch", "--fuzz=0", "--quiet", "--force",
                           "--no-backup-if-mismatch", "--reject-file=-", *options,
                           f"--input={mutant}"], cwd=tree, capture_output=True, text=True)
    if done.returncode != 0:
        raise Broken(f"{mutant.name} does not apply: {done.stdout.strip()} {done.stderr.strip()}")


def about(mutant):
    """Its first paragraph; a patch that does not say what it breaks is none."""
    words = mutant.read_text().split("\n--- ")[0].strip()
    if not words:
        raise Broken(f"{mutant.name} does not say what is wrong, above its first \"---\"")
    return " ".join(words.split("\n\n")[0].split())


def check_applies(mutants):
    for mutant in mutants:
        about(mutant)
        patch(ROOT, mutant, "--dry-run")
    print(f"{len(mutants)} passed, 0 failed")


def check_rows(mutants, text):
    """Each has one row in the README's table, in order, and no other is there."""
    names, rows = [mutant.stem for mutant in mutants], ROW.findall(text)
    wrong = set(names) ^ set(rows) or {row for row in rows if rows.count(row) > 1}
    if wrong:
        raise Broken("there should be one patch, and one row in tests/README.md, of each of "
                     + ", ".join(sorted(wrong)))
    if rows != names:
        raise Broken("the rows of planted bugs in tests/README.md are not sorted by name")


def copy_tree(folder):
    for name in BUILT_FROM:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name)
        elif (ROOT / name).exists():
            shutil.copy2(ROOT / name, folder / name)


def run_quietly(command, what):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise Broken(f"{what}:\n{done.stdout[-4000:]}")


def configure(tree, build):
    launcher = ["-DCMAKE_C_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
    run_quietly(["cmake", "-C", str(tree / ".ci/release.cmake"), "-B", str(build), "-S", str(tree),
                 "-DROLLCALL_WERROR=OFF", *launcher], "it cannot be configured")


def compile_command(build, what):
    run_quietly(["cmake", "--build", str(build), "--target", "rollcall_command", "--parallel",
                 str(os.cpu_count())], f"{what} does not compile")


def scenarios(build):
    done = subprocess.run([build / "rollcall", "sim", "--list", "-o", "json"],
                          capture_output=True, text=True, check=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return [event["name"] for event in events if event["event"] == "scenario"]


def turn(build, scenario, first, seeds):
    """One scenario's turn: its result; "invariant" is in it when something did not hold."""
    try:
        done = subprocess.run(
            [build / "rollcall", "sim", "--scenario", scenario, "--first-seed", str(first),
             "--seeds", str(seeds), "--steps", str(STEPS), "-o", "json"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=TURN_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return {"invariant": "(hangs)", "seed": first, "seeds": seeds}
    if done.returncode < 0:
        return {"invariant": f"(signal {-done.returncode})", "seed": first, "seeds": seeds}
    return json.loads(done.stdout.splitlines()[0])


def nothing(why, seeds=0, seconds=0.0):
    """The row of a mutant that was not found."""
    return {"scenario": None, "invariant": why, "seed": "", "seeds": seeds, "seconds": seconds}


def explore(build, names, seeds_max):
    """The violation, as a row of the table; its scenario is None when all held."""
    began, seeds, first, count = time.monotonic(), 0, 1, FIRST_ROUND
    while seeds + len(names) <= seeds_max:
        count = min(count, (seeds_max - seeds) // len(names))
        for name in names:
            result = turn(build, name, first, count)
            seeds += result["seeds"]
            if result.get("invariant"):
                return {"scenario": name, "invariant": result["invariant"], "seed": result["seed"],
                        "seeds": seeds, "seconds": time.monotonic() - began}
        first, count = first + count, count * ROUNDS_GROW
    return nothing("", seeds, time.monotonic() - began)


def row(name, found):
    return (f"| {name} | {'yes' if found['scenario'] else 'NO'} | {found['invariant']} | "
            f"{found['scenario'] or ''} | {found['seed']} | {found['seeds']} | "
            f"{found['seconds']:.1f} |")


def tally(rows, key):
    counts = {}
    for found in rows:
        if found["scenario"]:
            counts[found[key]] = counts.get(found[key], 0) + 1
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def try_mutant(tree, build, mutant, names, seeds_max):
    patch(tree, mutant)
    try:
        compile_command(build, mutant.name)
        return explore(build, names, seeds_max)
    finally:
        patch(tree, mutant, "--reverse")


def try_all(folder, mutants, seeds_max):
    tree, build = folder / "tree", folder / "build"
    if not tree.exists():
        tree.mkdir(parents=True)
        copy_tree(tree)
    configure(tree, build)
    compile_command(build, "the tree")
    names = scenarios(build)
    sound = explore(build, names, seeds_max)
    if sound["scenario"]:
        raise Broken(f"without any bug {sound['scenario']} fails with seed {sound['seed']}: "
                     f"{sound['invariant']}")
    print("| mutant | found | invariant | scenario | seed | seeds needed | seconds |\n"
          "|---|---|---|---|---|---|---|")
    rows = []
    for mutant in mutants:
        try:
            rows.append(try_mutant(tree, build, mutant, names, seeds_max))
        except Broken as why:
            print(f"failed: {why}", file=sys.stderr)
            rows.append(nothing("(does not build)"))
        print(row(mutant.stem, rows[-1]), flush=True)
    print(f"\nby invariant: {tally(rows, 'invariant')}\nby scenario: {tally(rows, 'scenario')}")
    missed = sum(found["scenario"] is None for found in rows)
    print(f"without any bug {sound['seeds']} seeds held\n"
          f"{len(rows) - missed} passed, {missed} failed")
    return missed == 0


FAKE = """#!/bin/sh
# A `rollcall sim` of two scenarios; FOUND is what the second one violates, if anything.
seeds=$(echo "$@" | sed 's/.*--seeds \\([0-9]*\\).*/\\1/')
case "$*" in
*two*) [ -z "$FOUND" ] || { echo "{\\"seeds\\":7,\\"seed\\":7,\\"invariant\\":\\"$FOUND\\"}"; exit 1; } ;;
esac
echo "{\\"seeds\\":$seeds}"
"""


def expect(what, good):
    if not good:
        raise Broken(what)


def refuses(call, *arguments):
    try:
        call(*arguments)
    except Broken:
        return True
    return False


def rows_of(*names):
    return "".join(f"| `{name}` | an-invariant | watch | 21 |\n" for name in names)


def self_test(folder):
    stale, silent = folder / "stale.patch", folder / "silent.patch"
    hunk = "--- a/README.md\n+++ b/README.md\n@@ -1 +1 @@\n-not in it\n+nor this\n"
    stale.write_text("What it breaks.\n\n" + hunk)
    silent.write_text("\n" + hunk)
    expect("a patch that does not apply passes", refuses(check_applies, [stale]))
    expect("a patch without words passes", refuses(about, silent))
    expect("a missing row passes", refuses(check_rows, [silent, stale], rows_of("silent")))
    expect("a row of nothing passes", refuses(check_rows, [silent], rows_of("silent", "stale")))
    expect("a row twice passes", refuses(check_rows, [silent], rows_of("silent", "silent")))
    expect("any order passes", refuses(check_rows, [silent, stale], rows_of("stale", "silent")))
    check_rows([silent, stale], "text\n" + rows_of("silent", "stale") + "text\n")
    (folder / "rollcall").write_text(FAKE)
    (folder / "rollcall").chmod(0o755)
    os.environ["FOUND"] = "planted"
    found = explore(folder, ["one", "two"], 1000)
    expect("a violation is not found", (found["scenario"], found["seeds"]) == ("two", 27))
    os.environ["FOUND"] = ""
    missed = explore(folder, ["one", "two"], 1000)
    expect("nothing is found", missed["scenario"] is None and missed["seeds"] == 1000)
    expect("a miss is a hit", "| NO |" in row("x", missed) and "| yes |" in row("x", found))
    print("10 passed, 0 failed")
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--applies", action="store_true",
                        help="only check that all apply and have a row")
    parser.add_argument("--self-test", action="store_true", help="of this program")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="for each, over all scenarios")
    parser.add_argument("--keep", type=pathlib.Path, help="the folder to build in, and to keep")
    parser.add_argument("names", nargs="*", help="mutants, without .patch; none: all")
    options = parser.parse_args()
    if options.self_test:
        with tempfile.TemporaryDirectory() as folder:
            return self_test(pathlib.Path(folder))
    mutants = sorted(MUTANTS.glob("*.patch"))
    unknown = set(options.names) - {mutant.stem for mutant in mutants}
    if unknown or not mutants:
        raise Broken(f"no such mutant: {', '.join(sorted(unknown)) or 'there is none at all'}")
    chosen = [mutant for mutant in mutants if not options.names or mutant.stem in options.names]
    if options.applies:
        check_rows(mutants, README.read_text())
        check_applies(chosen)
        return True
    if options.keep:
        return try_all(options.keep.resolve(), chosen, options.seeds)
    with tempfile.TemporaryDirectory() as folder:
        return try_all(pathlib.Path(folder), chosen, options.seeds)


if __name__ == "__main__":
    try:
        sys.exit(0 if main() else 1)
    except Broken as why:
        print(f"failed: {why}", file=sys.stderr)
        sys.exit(1)
