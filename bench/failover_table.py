#!/usr/bin/env python3
"""The lines of bench/failover as tables of medians, and what became of the targets.

    python3 bench/failover_table.py LINES

A cell is the median of the runs, and in brackets the least and the most.
"""
import json
import statistics
import sys

from table import cell, print_table, print_target

OURS = "rollcall"
PEERS = (OURS, "election", "single-key")
SCENES = ("close", "resign", "rotate", "frozen", "kill", "quiet")
TIMES = (  # heading, member, divisor, decimals
    ("p50 ms", "takeover_p50_us", 1000, 2),
    ("p99 ms", "takeover_p99_us", 1000, 2),
    ("max ms", "takeover_max_us", 1000, 1),
    ("undisturbed", "undisturbed", 1, 0),
    ("their p99 ms", "undisturbed_p99_us", 1000, 2),
    ("in all p50 ms", "from_leaving_p50_us", 1000, 2),
    ("in all p99 ms", "from_leaving_p99_us", 1000, 2),
)
COSTS = (
    ("Txns", "txns", 1, 1),
    ("writes", "writes", 1, 1),
    ("requests", "requests", 1, 1),
    ("watch events", "watch_events", 1, 1),
)
QUIET = (
    ("requests", "requests", 1, 0),
    ("writes", "writes", 1, 0),
    ("watch events", "watch_events", 1, 0),
    ("renewals", "renewals", 1, 0),
)


class Runs:
    """All lines, by what was asked."""

    def __init__(self, lines):
        self.groups = {}
        for line in lines:
            run = json.loads(line)
            key = (run["scene"], run["standbys"], run["ttl_s"], run["sentinel"], run["peer"])
            self.groups.setdefault(key, []).append(run)

    def ours(self, scene, standbys=None, sentinel=False):
        return [run for key, runs in self.groups.items() for run in runs
                if key[0] == scene and key[4] == OURS and key[3] == sentinel and
                standbys in (None, key[1])]

    def ordered(self, quiet):
        keys = [key for key in self.groups if (key[0] == "quiet") == quiet]
        return sorted(keys, key=lambda k: (SCENES.index(k[0]), k[1], k[2], k[3], PEERS.index(k[4])))


def rows(runs, quiet):
    columns = QUIET if quiet else TIMES + COSTS
    yield ["scene", "standbys", "TTL s", "peer", "runs", "seconds" if quiet else "takeovers",
           *(column[0] for column in columns)]
    for key in runs.ordered(quiet):
        scene, standbys, ttl_s, sentinel, peer = key
        group = runs.groups[key]
        many = sum(run["window_s" if quiet else "rounds"] for run in group)
        yield [scene + ("+sentinel" if sentinel else ""), str(standbys), str(ttl_s), peer,
               str(len(group)), str(many),
               *(cell([run[member] for run in group], divisor, decimals)
                 for _, member, divisor, decimals in columns)]


def median_of(runs, member, divisor=1):
    return statistics.median(run[member] for run in runs) / divisor if runs else None


def most_of(runs, member, divisor=1):
    return max(run[member] for run in runs) / divisor if runs else None


def targets(runs):
    """(what, value or None, limit, whether the value may reach the limit, unit)"""
    for scene in ("close", "resign"):
        what = f"{scene}, 10 standbys: p99 from the DELETE to the callback"
        yield what, median_of(runs.ours(scene, 10), "takeover_p99_us", 1000), 20, False, " ms"
        yield (what + ", of those that were not kept from the cores",
               median_of(runs.ours(scene, 10), "undisturbed_p99_us", 1000), 20, False, " ms")
    for scene in ("close", "resign"):
        for standbys in (3, 10, 50):
            yield (f"{scene}, {standbys} standbys: most write Txns of a takeover",
                   most_of(runs.ours(scene, standbys), "txns_max"), 3, True, "")
    yield ("frozen first candidate: longest takeover",
           most_of(runs.ours("frozen"), "takeover_max_us", 1000), 200, False, " ms")
    yield ("kill -9 with the sentinel: p99 from the kill to the callback",
           median_of(runs.ours("kill", sentinel=True), "from_leaving_p99_us", 1000), 100, False,
           " ms")
    kills = runs.ours("kill")
    late = [run["from_leaving_max_us"] / 1e6 - run["ttl_s"] for run in kills]
    yield ("kill -9 without it: longest, beyond the TTL", max(late) if late else None, 0.6, True,
           " s")
    quiet = [run for run in runs.ours("quiet") if run["window_s"] >= 60]
    yield ("quiet: requests in 60 s beyond renewals", most_of(quiet, "requests"), 0, True, "")


def print_targets(runs):
    for what, value, limit, inclusive, unit in targets(runs):
        holds = value is not None and (value < limit or (inclusive and value == limit))
        print_target(what, value, holds, f"{'at most' if inclusive else 'below'} {limit}", unit)


def main(arguments):
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    with open(arguments[0], encoding="utf-8") as file:
        runs = Runs(file)
    for quiet in (False, True):
        table = list(rows(runs, quiet))
        if len(table) > 1:
            print_table(table)
    print_targets(runs)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
