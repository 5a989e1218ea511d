#!/usr/bin/env python3
"""Recompute the damage of the incidents from their key files alone, and compare with the results.

  damage_test.py KEYSKEW SCENARIOS        0 all equal, 1 differences (one a line)

The models are written from what `keyskew list consumer NAME` says of them, without the program's code: calls, returns, keys and
contexts go in, counts come out. Then a call is taken out of each file that shows damage: the counts must differ.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict

import recompute

RUNS = [
    ("incidents/f1-ntp-step-double-charge", "unixmilli,snowflake"),
    ("incidents/f1-ntp-step-swallowed-order", "unixmilli,uuidv7"),
    ("incidents/f2-resume-sync-back", "unixmilli,snowflake"),
    ("incidents/f3-zone-offset-stale", "unixnano,lamport"),
    ("incidents/f3-zone-offset-busy", "unixnano"),
    ("incidents/f4-shard-key-overwrite", "shard-key,shard-key:compare-and-set"),
    ("incidents/f4-shard-key-rejected", "shard-key,shard-key:compare-and-set"),
    ("incidents/f5-nested-map-lost-write", "unixnano:user,hlc:cockroach"),
    ("incidents/f2-resume-overwrites", "unixmilli,snowflake,uuidv7"),
    ("incidents/m2-container-clock", "unixmilli"),
    ("incidents/f7-gc-pause-order", "nanotime,snowflake"),
    ("incidents/f6-cold-start-trace-ids", "trace-id:length=2,trace-id:equal,snowflake"),
]


def duration(text):
    number, unit = re.fullmatch(r"([0-9.]+)([a-z]+)", text).groups()
    whole, _, rest = number.partition(".")
    ns = recompute.UNITS_NS[unit]
    return int(whole) * ns + (int(rest) * ns // 10 ** len(rest) if rest else 0)


def process(row):
    return (row.node, row.process, row.incarnation)


def user(row):
    return int(re.search(rb"user=([0-9]+)", row.context).group(1))


def by_key(rows, home=lambda row: None):
    found = defaultdict(list)
    for row in rows:
        if row.outcome == "key":
            found[home(row), recompute.identity(row)].append(row)
    return found.values()


def payment_gateway(rows, option, _):
    count = {"double_charges": 0, "swallowed_orders": 0}
    remembers, confirms = duration(option["remembers"]), duration(option["confirms"])
    for same in by_key(rows):
        charged, replaced = None, False
        for order in same:
            if charged is None or order.return_ns - charged.return_ns >= remembers:
                charged, replaced = order, False
                continue
            if option["retry"] == "same-key" or user(order) == user(charged):
                count["swallowed_orders"] += 1
            if option["retry"] == "new-key" and order.return_ns - charged.return_ns < confirms and not replaced:
                count["double_charges"] += 1
                replaced = True
    return count


def key_value_store(rows, option, _):
    count = dict.fromkeys(["overwritten", "overwritten_own", "overwritten_earlier_life", "overwritten_other_process",
                           "overwritten_other_node", "rejected"], 0)
    for same in by_key(rows):
        holder = None
        for row in same:
            if holder and row.return_ns - holder.return_ns < duration(option["ttl"]):
                if option["write"] == "set-if-absent":
                    count["rejected"] += 1
                    continue
                whose = ("other_node" if row.node != holder.node else "other_process" if row.process != holder.process
                         else "earlier_life" if row.incarnation != holder.incarnation else "own")
                count["overwritten"] += 1
                count["overwritten_" + whose] += 1
            holder = row
    return count


def nested_map(rows, _option, _end):
    count = {"lost_entries": 0, "lost_other_thread": 0}
    for same in by_key(rows, lambda row: process(row) + (user(row),)):
        for before, after in zip(same, same[1:]):
            count["lost_entries"] += 1
            count["lost_other_thread"] += before.thread != after.thread
    return count


def trace_collector(rows, option, _):
    count = {"merged_traces": 0, "shared_ids": 0, "merged_other_process": 0, "traces_of_one_id_max": 0}
    for same in by_key(rows):
        first, traces = None, 0
        for row in same:
            if first is None or row.return_ns - first.return_ns >= duration(option["window"]):
                first, traces = row, 1
                continue
            traces += 1
            count["merged_traces"] += 1
            count["merged_other_process"] += process(row) != process(first)
            count["shared_ids"] += traces == 2
            count["traces_of_one_id_max"] = max(count["traces_of_one_id_max"], traces)
    return count


def shard_table(rows, option, _):
    count = {"lost_tasks": 0, "rejected_tasks": 0, "misrouted_tasks": 0, "missed_tasks": 0}
    for same in by_key(rows):
        taken = False
        for task in same:
            due = task.call_ns + duration(option["delay"])
            count["misrouted_tasks"] += not task.embed_lo_ns <= due < task.embed_hi_ns
            if task.return_ns >= task.embed_hi_ns:
                count["missed_tasks"] += 1
                continue
            if taken:
                count["lost_tasks" if option["write"] == "upsert" else "rejected_tasks"] += 1
            taken = True
    return count


def publish_order(rows, _option, _end):
    """only what the key file tells: it has no clock readings"""
    count = {"inverted": 0}
    largest = defaultdict(dict)
    for row in rows:
        if row.outcome != "key":
            continue
        others = [key for thread, key in largest[process(row)].items() if thread != row.thread]
        count["inverted"] += any(key > row.order for key in others)
        own = largest[process(row)].get(row.thread)
        largest[process(row)][row.thread] = row.order if own is None else max(own, row.order)
    return count


def lww_replica(rows, option, end):
    """of keys in ns, which are their clock's reading just before the return, and of keys that name no time"""
    count = dict.fromkeys(["skipped_future", "skipped_old", "stale_ns_max", "stale_at_end", "waited_ns_max"], 0)
    node, delay, tolerates = int(option["at"]) - 1, duration(option["delay"]), duration(option["tolerates"])
    readings = [(r.return_ns, r.embed_lo_ns - r.return_ns) for r in rows if r.node == node and r.embed_lo_ns is not None]
    times = [at for at, _ in readings]
    arrivals = []
    for row in rows:
        if row.outcome != "key":
            continue
        at, skipped = row.return_ns + (0 if row.node == node else delay), False
        if row.node != node and option["future"] != "take" and row.embed_lo_ns is not None:
            index = max(recompute.bisect.bisect_right(times, at) - 1, 0)
            ahead = row.embed_lo_ns - tolerates - (at + readings[index][1])
            if ahead > 0 and option["future"] == "skip":
                skipped = True
            elif ahead > 0:
                at += ahead
                count["waited_ns_max"] = max(count["waited_ns_max"], ahead)
        arrivals.append((at, row.number, row, skipped))
    held, latest, stale = {}, {}, {}
    for at, _, row, skipped in sorted(arrivals, key=lambda a: a[:2]):
        if at > end:
            continue
        who = user(row)
        newest = who not in latest or row.number > latest[who].number
        takes = not skipped and (who not in held or row.order > held[who].order)
        count["skipped_future"] += skipped
        count["skipped_old"] += not skipped and not takes and newest
        if newest:
            latest[who] = row
        if takes:
            held[who] = row
        if held.get(who) is latest[who]:
            count["stale_ns_max"] = max(count["stale_ns_max"], at - stale.pop(who, at))
        else:
            stale.setdefault(who, at)
    for since in stale.values():
        count["stale_at_end"] += 1
        count["stale_ns_max"] = max(count["stale_ns_max"], end - since)
    return count


MODELS = {"payment-gateway": payment_gateway, "key-value-store": key_value_store, "nested-map": nested_map,
          "trace-collector": trace_collector, "shard-table": shard_table, "publish-order": publish_order,
          "lww-replica": lww_replica}


def options(effective):
    block = re.search(r"^consumers:\n((?:  .*\n)*)", effective, re.M).group(1)
    found = {}
    for name, text in re.findall(r"^  ([a-z-]+): \{(.*)\}$", block, re.M):
        found[name] = dict(pair.split(": ") for pair in text.split(", ") if pair)
    return found


def damage_of(run, rows):
    end = max([duration(re.search(r"^duration: (\S+)$", run["effective"], re.M).group(1))] + [r.return_ns or 0 for r in rows])
    return {name: MODELS[name](rows, option, end) for name, option in options(run["effective"]).items()}


def differences(run, rows):
    for name, counts in damage_of(run, rows).items():
        for damage, value in counts.items():
            if int(run["damage"][name][damage]) != value:
                yield "%s, %s: %s.%s is %s, recomputed %d" % (run["scenario"], run["generator"], name, damage,
                                                              run["damage"][name][damage], value)


def figures(run):
    """what stands beside a report's claim must be what the run measured"""
    for figure in run.get("reported", {}).get("figures", []):
        subject = figure["text"].split(": ")[0]
        if "." in subject:
            value = run["damage"][subject.split(".")[0]][subject.split(".")[1]]
        else:
            value = run["metrics"][subject.split("@")[0]]
            value = value[subject.split("@")[1]] if "@" in subject else value
        if figure.get("value") != value:
            yield "%s, %s: reported beside %s: %r, measured %r" % (run["scenario"], run["generator"], subject, figure.get("value"), value)


def without_a_victim(run, rows):
    """the rows but the first call that others fell upon: with it some damage must go"""
    seen = defaultdict(list)
    for row in rows:
        if row.outcome == "key":
            seen[recompute.identity(row)].append(row)
    shared = [same[0] for same in seen.values() if len(same) > 1]
    return [r for r in rows if r is not shared[0]] if shared else None


def listed(keyskew):
    """list consumer NAME says what there is: options with defaults, damages with their meaning"""
    for name, model in MODELS.items():
        text = subprocess.run([keyskew, "list", "consumer", name, "--json"], stdout=subprocess.PIPE, check=True).stdout
        entry = json.loads(text)[0]
        damages = [d["damage"] for d in entry["damages_table"] if d["meaning"]]
        if entry["damages"].split() != damages or not damages:
            yield "list consumer %s: %r and %r" % (name, entry["damages"], damages)
        for row in entry["options"]:
            if not row["meaning"] or not row["accepts"] or row["default"] == "":
                yield "list consumer %s: option %r" % (name, row)


def main():
    keyskew, scenarios = sys.argv[1:]
    problems, compared, planted = list(listed(keyskew)), 0, 0
    environment = dict(os.environ, KEYSKEW_SCENARIOS=scenarios)
    for scenario, generators in RUNS:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([keyskew, "run", os.path.join(scenarios, scenario + ".yaml"), "-g", generators, "-o", folder + "/out",
                            "--keys", folder + "/keys/"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
            with open(folder + "/out/result.json", encoding="utf-8") as stream:
                runs = json.load(stream)["runs"]
            for name in sorted(os.listdir(folder + "/keys")):
                meta, rows, form = recompute.read_keys(os.path.join(folder, "keys", name))
                problems += form
                run = next(r for r in runs if r["generator"] == meta["generator"])
                problems += differences(run, rows)
                problems += figures(run)
                compared += 1
                fewer = without_a_victim(run, rows)
                if fewer and "lww-replica" not in run["damage"]:
                    planted += 1
                    if not list(differences(run, fewer)):
                        problems.append("%s, %s: a call less, and the damage is the same" % (scenario, run["generator"]))
    for problem in problems:
        print(problem)
    print("%d runs recomputed, %d planted differences caught, %d problems" % (compared, planted, len(problems)))
    return 1 if problems or compared < 15 or planted < 6 else 0


if __name__ == "__main__":
    sys.exit(main())
