#!/usr/bin/env python3
"""Counts the tests of ctest runs, from their JUnit files, and prints "N passed, N failed" last.

A program under Criterion or the plain driver counts as many tests as it says it ran; any other, and
any that says nothing, as one.  A program that ctest failed counts at least one failure.  Exits 1 on
a failure and when no test ran."""
import pathlib
import re
import sys
import xml.etree.ElementTree

CRITERION = re.compile(r"Tested:\s*(\d+)\s*\|\s*Passing:\s*(\d+)\s*\|\s*Failing:\s*(\d+)"
                       r"\s*\|\s*Crashing:\s*(\d+)")
PLAIN = re.compile(r"^(\d+) passed, (\d+) failed$", re.MULTILINE)
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")


def counted(output):
    """(passed, failed) as the program says, or None."""
    if found := CRITERION.findall(output):
        _, passing, failing, crashing = (int(number) for number in found[-1])
        return passing, failing + crashing
    if found := PLAIN.findall(output):
        return int(found[-1][0]), int(found[-1][1])
    return None


def count(case):
    """(passed, failed, skipped) of one ctest entry."""
    status = case.get("status")
    if status in ("notrun", "disabled"):
        # ctest calls a missing program "notrun" too, with a <skipped> like a real skip's.
        skipped = case.find("skipped")
        reason = "" if skipped is None else skipped.get("message", "")
        return (0, 0, 1) if status == "disabled" or "SKIP" in reason else (0, 1, 0)
    passed, failed = counted(case.findtext("system-out") or "") or (0, 0)
    if status == "fail" and failed == 0:
        return max(passed - 1, 0), 1, 0  # ctest found what the program did not: one of them
    if status == "fail":
        return passed, failed, 0
    return max(passed, 1), 0, 0


def cases_of(path):
    """The entries of one JUnit file; when there is no such file, a sentence, and one that failed."""
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
        return xml.etree.ElementTree.fromstring(CONTROL.sub("?", text)).findall("testcase")
    except (OSError, xml.etree.ElementTree.ParseError) as problem:
        print(f"no result of ctest: {problem}", file=sys.stderr)
        return [xml.etree.ElementTree.Element("testcase", name=str(path), status="fail")]


def main(paths):
    cases = [case for path in paths for case in cases_of(path)]
    passed, failed, skipped = (sum(column) for column in zip((0, 0, 0), *map(count, cases)))
    for case in cases:
        if count(case)[1]:
            print(f"failed: {case.get('name')}")
    print(f"{len(cases)} programs, {skipped} skipped")
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
