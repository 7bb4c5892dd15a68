"""Checks the tables of tests/README.md that say which of our tests answers to what: to upstream's
defects, to its tests, and to the outages that a lease or a watch meets.

A line ends in | FILE | TEST |, or in | - | why there is no test |.  What a table must name stands
there, in the first column, alone or followed by ": " and which part of it; no first column twice;
and each test is in its file: a test that is renamed takes its line along.

    defects.py SOURCE_FOLDER
    defects.py --self-test    plants each mistake in a tree of its own and checks that it is found
"""

import re
import sys
import tempfile
from pathlib import Path

PAGE = "tests/README.md"
# The numbers that our description of upstream gives; the others of 1 to 85 are not in use.
DEFECTS = [f"D-{number:02}" for number in (
    *range(1, 19), 20, 21, *range(22, 32), *range(40, 53), *range(60, 69), *range(71, 74),
    *range(80, 86))]
# The tests of upstream's stable and newest releases.
TESTS = [line.strip() for line in """
    HasNoQueryService
    SessionWithVersionSuite
    TestDisconnected
    TestForceActiveWithDelete
    TestForceActiveWithLeaseID
    TestForceKill
    TestGetResourceGroupName
    TestGetServerIDConcurrently
    TestGetSessions
    TestGetSessionsWithRangeVersion
    TestGoingStop
    TestInit
    TestInitNoArgs
    TestIntegrationMode
    TestKeepAliveRetryActiveCancel
    TestKeepAliveRetryChannelClose
    TestRevoke
    TestSafeCloseLiveCh
    TestServerInfoOp
    TestSessionEventType_String
    TestSessionLifetime
    TestSessionLivenessCheck
    TestSessionProcessActiveStandBy
    TestSessionUnmarshal
    TestSession_Registered
    TestSession_String
    TestSession_apply
    TestSesssionMarshal
    TestUpdateSessions
    TestVersionKey
    TestWatchServicesWithVersionRange
    TestWatcherHandleWatchResp
""".strip().splitlines()]
# The scenarios of leases with one etcd, and with three.
OUTAGES = [f"A{number}" for number in range(1, 19)] + [f"B{number}" for number in range(1, 17)]
# The scenarios of watches.
WATCHES = [f"C{number}" for number in range(1, 24)]
# heading: (columns, what the first column must name)
TABLES = {"## The defects of upstream": (4, DEFECTS), "## Upstream's tests, and ours": (3, TESTS),
          "## What outages do to leases": (4, OUTAGES),
          "## What outages do to watches": (4, WATCHES)}


def rows(text, heading):
    """Returns the lines of the one table below a heading, without its own two."""
    section = text.partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("|")][2:]


def check_row(root, name, path, test):
    """Returns what is wrong with one line, or None."""
    if path == "-":
        return None if test else f"{name} has neither a test nor a reason"
    source = root / path
    if not source.is_file():
        return f"{name}: there is no {path}"
    if not re.search(rf"^TEST\(\w+, {re.escape(test)}\)", source.read_text(), re.MULTILINE):
        return f"{name}: {path} has no test {test}"
    return None


def check_table(root, text, heading, columns, names):
    """Returns a list of sentences, and None for each line that is well."""
    wrong, seen = [], []
    for line in rows(text, heading):
        cells = [cell.strip().strip("`") for cell in line[1:].rstrip().removesuffix("|").split("|")]
        if len(cells) != columns:
            wrong.append(f"{heading}: not {columns} columns: {line}")
            continue
        seen.append(cells[0])
        wrong.append(check_row(root, cells[0], cells[-2], cells[-1]))
    wrong += [f"{heading}: twice: {name}" for name in sorted(set(seen)) if seen.count(name) > 1]
    strange = {name.partition(": ")[0] for name in seen} ^ set(names)
    return wrong + [f"{heading}: missing or unknown: {name}" for name in sorted(strange)]


def check(root, tables):
    """Returns a list of sentences, empty when all is well."""
    text = (root / PAGE).read_text()
    return [sentence for heading, (columns, names) in tables.items()
            for sentence in check_table(root, text, heading, columns, names) if sentence]


GOOD = "# Tests\n\n## T\n\n| | file | test |\n|---|---|---|\n" \
    "| A: one | `a.c` | `runs` |\n| A: two | - | a reason |\n| B | `a.c` | `ends` |\n\n## U\n"
# (what is there, the mistake, what must be said of it)
MISTAKES = (
    ("`runs`", "`run`", "A: one: a.c has no test run"),
    ("B | `a.c`", "B | `b.c`", "B: there is no b.c"), ("a reason", "", "neither"),
    ("B | `a.c`", "B | what | `a.c`", "not 3 columns"), ("A: two", "A: one", "twice: A: one"),
    ("| B |", "| C |", "missing or unknown: C"), ("| B | `a.c` | `ends` |\n", "", "unknown: B"),
    ("## T\n", "## V\n", "unknown: A"))


def self_test():
    """Returns a list of sentences, empty when every planted mistake is found and no other."""
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "tests").mkdir()
        (root / "a.c").write_text("TEST(suite, runs)\nTEST(suite, ends)\n")
        for before, after, sentence in (("", "", ""), *MISTAKES):
            (root / PAGE).write_text(GOOD.replace(before, after, 1))
            found = "\n".join(check(root, {"## T": (3, ["A", "B"])}))
            if (found == "") != (sentence == "") or sentence not in found:
                wrong.append(f"self-test: for {after!r} instead of {before!r}: {found!r}")
    return wrong


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    wrong = self_test() if sys.argv[1] == "--self-test" else check(Path(sys.argv[1]), TABLES)
    if wrong:
        sys.exit("\n".join(wrong))


main()
