"""Checks the table of upstream's defects in tests/README.md.

A line is | D-NN | what upstream does | FILE | TEST |, or | D-NN | what | - | why no test |.  Each
number stands there once, and each test in its file: a test that is renamed takes its line along.

    defects.py SOURCE_FOLDER
"""

import re
import sys
from pathlib import Path

TABLE = "tests/README.md"
# The numbers that our description of upstream gives; the others of 1 to 85 are not in use.
NUMBERS = [*range(1, 19), 20, 21, *range(22, 32), *range(40, 53), *range(60, 69), *range(71, 74),
           *range(80, 86)]
ROW = re.compile(r"^\| D-(\d\d) \|([^|]*)\|([^|]*)\|([^|]*)\|$")


def check_row(root, number, path, test):
    """Returns what is wrong with one line, or None."""
    if path == "-":
        return None if test else f"D-{number:02} has neither a test nor a reason"
    source = root / path
    if not source.is_file():
        return f"D-{number:02}: there is no {path}"
    if not re.search(rf"^TEST\(\w+, {re.escape(test)}\)", source.read_text(), re.MULTILINE):
        return f"D-{number:02}: {path} has no test {test}"
    return None


def check(root):
    """Returns a list of sentences, empty when all is well."""
    wrong, seen = [], []
    for line in (root / TABLE).read_text().splitlines():
        if not line.startswith("| D-"):
            continue
        row = ROW.match(line)
        if row is None:
            wrong.append(f"{TABLE}: not | D-NN | what | file | test |: {line}")
            continue
        seen.append(int(row[1]))
        wrong.append(check_row(root, seen[-1], row[3].strip().strip("`"), row[4].strip().strip("`")))
    if sorted(seen) != NUMBERS:
        strange = set(seen) ^ set(NUMBERS) | {n for n in seen if seen.count(n) > 1}
        wrong.append(f"{TABLE}: missing, twice or unknown: {sorted(strange)}")
    return [sentence for sentence in wrong if sentence]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    wrong = check(Path(sys.argv[1]))
    if wrong:
        sys.exit("\n".join(wrong))


main()
