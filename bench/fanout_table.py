#!/usr/bin/env python3
"""The lines of bench/fanout as a table of medians, and what became of the targets.

    python3 bench/fanout_table.py LINES

A cell is the median of the runs, and in brackets the least and the most.
"""
import json
import statistics
import sys

from table import cell, print_table, print_target

OURS, BY_QUEUE, THEIRS = "rollcall", "by queue", "clientv3"  # by queue: ours, with an epoll loop
MIB = 1 << 20
COLUMNS = (  # heading, member, divisor, decimals
    ("deliveries/s", "deliveries_per_s", 1, 0),
    ("CPU ns/delivery", "client_cpu_ns_per_delivery", 1, 0),
    ("CPU %", "client_cpu_percent", 1, 1),
    ("source CPU %", "source_cpu_percent", 1, 0),
    ("p50 ms", "latency_p50_us", 1000, 2),
    ("p99 ms", "latency_p99_us", 1000, 2),
    ("max ms", "latency_max_us", 1000, 1),
    ("B/watcher", "rss_per_watcher_bytes", 1, 0),
    ("MiB most", "rss_most_bytes", MIB, 0),
    ("etcd's watchers", "etcd_watchers", 1, 0),
)


class Runs:
    """All lines, by what was asked."""

    def __init__(self, lines):
        self.groups = {}
        for line in lines:
            run = json.loads(line)
            peer = BY_QUEUE if run["delivery"] == "queue" else run["peer"]
            key = (run["source"], run["rate_per_s"], run["events_per_response"], run["watchers"],
                   run["stuck"], peer)
            self.groups.setdefault(key, []).append(run)

    def stuck(self, peer, least_events):
        return [run for key, group in self.groups.items() for run in group
                if key[4] and key[5] == peer and run["deliveries"] >= least_events]

    def values(self, peer, source, rate, events, watchers, member, stuck=0):
        runs = self.groups.get((source, rate, events, watchers, stuck, peer), [])
        return [run[member] for run in runs if run["complete"]]

    def median(self, *what, **more):
        """None when it was not measured."""
        values = self.values(*what, **more)
        return statistics.median(values) if values else None


def rows(runs):
    yield ["source", "responses/s", "events", "W", "peer", "runs", "bad", *(c[0] for c in COLUMNS)]
    for key in sorted(runs.groups, key=lambda k: (k[0] != "etcd", -k[1], k[2], k[3], k[4], k[5])):
        source, rate, events, watchers, stuck, peer = key
        group = runs.groups[key]
        good = [run for run in group if run["complete"]]
        bad = sum(1 for run in group if run["faults"] or not run["complete"])
        cells = []
        for _, member, divisor, decimals in COLUMNS:
            measured = [run for run in good if not member.startswith("latency") or run["latencies"]]
            values = [run[member] for run in measured if run[member] != -1]
            cells.append(cell(values, divisor, decimals))
        yield [source, str(rate) if rate else "flat-out", str(events),
               f"{watchers} ({stuck} stuck)" if stuck else str(watchers), peer, str(len(group)),
               str(bad), *cells]


def ratio(above, below):
    return None if above is None or not below else above / below


def largest(runs, member, peer=OURS):
    """At the most watchers that were measured: how many, and the value."""
    for watchers in (10000, 1000):
        value = runs.median(peer, "etcd", 50, 1, watchers, member)
        if value is not None:
            return watchers, value
    return 10000, None


def targets(runs):
    """(what, value or None, limit, whether the value may be above the limit, unit)"""
    cpu = "client_cpu_ns_per_delivery"
    yield ("W=1000, 50/s: clientv3's CPU per delivery / ours",
           ratio(runs.median(THEIRS, "etcd", 50, 1, 1000, cpu),
                 runs.median(OURS, "etcd", 50, 1, 1000, cpu)), 25, True, "x")
    p99 = runs.median(OURS, "etcd", 50, 1, 1000, "latency_p99_us")
    yield ("W=1000, 50/s: p99 from put-ack to the last watcher",
           None if p99 is None else p99 / 1000, 2, False, "ms")
    yield ("W=1, 50/s: our CPU / clientv3's", ratio(runs.median(OURS, "etcd", 50, 1, 1, cpu),
                                                    runs.median(THEIRS, "etcd", 50, 1, 1, cpu)),
           1, False, "x")
    for events, limit in ((1, 4), (100, 10)):
        yield (f"W=1, canned, flat-out, {events} per response: our events/s / clientv3's",
               ratio(runs.median(OURS, "canned", 0, events, 1, "deliveries_per_s"),
                     runs.median(THEIRS, "canned", 0, events, 1, "deliveries_per_s")),
               limit, True, "x")
    for watchers in (1000, 10000):
        rate = runs.median(OURS, "canned", 0, 100, watchers, "deliveries_per_s")
        yield (f"W={watchers}, canned, flat-out: million deliveries/s",
               None if rate is None else rate / 1e6, 100, True, "M/s")
    watchers, value = largest(runs, "etcd_watchers")
    yield f"W={watchers}: watchers that etcd counts", value, 1, False, ""
    watchers, value = largest(runs, "rss_per_watcher_bytes")
    yield f"W={watchers}: memory of an idle watcher", value, 2048, False, "B"
    growth = [growth_of(run) for run in runs.stuck(BY_QUEUE, 1000000)]
    yield ("a watcher that never reads: growth in the second half of 1,000,000 events",
           max(growth) / MIB if growth else None, 1, False, "MiB")
    again = runs.stuck(BY_QUEUE, 0)
    yield ("those that never read, and read in the end: came to what a list says",
           sum(run["stuck_converged"] == run["stuck"] for run in again) if again else None,
           len(again), True, f" of {len(again)} runs")


def growth_of(run):
    """From half to half, by the least of each: what is on its way comes and goes."""
    sizes = [size for _, size in run["stuck_rss"]]
    half = len(sizes) // 2
    return min(sizes[half:]) - min(sizes[:half])


def print_stuck(runs):
    """The memory of clients one of whose watchers never reads, as events went by."""
    for peer in (BY_QUEUE, THEIRS):
        for run in runs.stuck(peer, 0):
            samples = run["stuck_rss"][::4] + run["stuck_rss"][-1:]
            print(f"never reads, {peer}, {run['source']}: "
                  + ", ".join(f"{events:,} events {size / MIB:.1f} MiB" for events, size in samples))
            if peer == BY_QUEUE:
                print(f"    reads in the end: {run['stuck_read_events']:,} events,"
                      f" {run['stuck_read_resyncs']} resyncs, {run['stuck_read_ms']:.0f} ms,"
                      f" {run['stuck_converged']} of {run['stuck']} at the true state")


def print_targets(runs):
    for what, value, limit, at_least, unit in targets(runs):
        holds = value is not None and (value >= limit if at_least else value <= limit)
        print_target(what, value, holds, f"{'at least' if at_least else 'at most'} {limit}", unit)


def main(arguments):
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    with open(arguments[0], encoding="utf-8") as file:
        runs = Runs(file)
    print_table(list(rows(runs)))
    print_stuck(runs)
    print()
    print_targets(runs)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
