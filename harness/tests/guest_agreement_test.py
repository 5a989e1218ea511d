#!/usr/bin/env python3
"""Agreement of the simulation with guests: for each fault that guests carry, every built-in generator in its variants is judged in both worlds, and
every claim has to get the same verdict, with counts within what the timing of a real machine adds; what differs is tried twice more. A minute or three
a fault: KEYSKEW_TEST_LONG=1.

    guest_agreement_test.py KEYSKEW SCENARIOS [NAME]...
"""
import json
import os
import re
import subprocess
import sys
import tempfile

SKIP = 77
KEYSKEW, SCENARIOS = sys.argv[1:3]
ONE = "{nodes: 1, threads: 2}"
SELDOM = "workload: {rate: 100/s, phase: 300us}"
EACH_MS = "workload: {rate: 1000/s, model: closed}"
# A machine that is kept, put back or booted stands for a time that is its own: how many calls come again is not the same, whether any do is.
VERDICTS_ALONE = ("clone", "rollback", "reboot")
# name, fleet, duration, faults, more. What moves a clock moves it by 0.3 ms beside whole ms, so that no two calls read the same ns by the grid that
# simulated calls stand on. A fault that is carried from now on is a row more.
ROWS = [
    ("step", ONE, "1500ms", "{name: f, at: 700ms, step: -119.7ms}", ""),
    ("slew", ONE, "2s", "{name: f, at: 500ms, slew: -20000ppm, for: 1s}", ""),
    ("drift", ONE, "2s", "{name: f, at: 500ms, drift: -20000ppm}", ""),
    ("strobe", ONE, "2s", "{name: f, at: 500ms, strobe: 200.3ms, period: 50ms, for: 1s}", ""),
    ("jitter", ONE, "2s", "{name: f, at: 500ms, jitter: 35ms, period: 50ms, for: 1s}", ""),
    ("leap", ONE, "4500ms", "{name: f, at: 500ms, leap: insert}", "start: 2016-12-31T23:59:58Z"),
    ("vm-stop", ONE, "1500ms", "{name: f, at: 400ms, suspend: vm-stop, for: 500ms}", ""),
    ("host-stop", ONE, "2s", "{name: f, at: 500ms, suspend: host-stop, for: 500ms}", ""),
    ("s3", ONE, "5s", "{name: f, at: 1s, suspend: s3, for: 2s}", ""),
    ("pause", ONE, "1500ms", "{name: f, at: 400ms, thread: 1, pause: 500ms}", ""),
    ("zone", "{nodes: [{name: a}, {name: b, offset: 250.3ms}]}", "1s", "", ""),
    ("core", ONE, "3s", "{name: f, at: 700ms, core: 1, pause: 1s}", ""),
    ("clone", "1", "3500ms", "{name: keep, at: 500ms, node: n1, snapshot: warm}\n  - {name: copy, at: 2500ms, clone: warm, as: n2, vmgenid: false}", EACH_MS),
    ("rollback", "{nodes: 1, clocksource: hpet}", "4500ms",
     "{name: keep, at: 500ms, node: n1, snapshot: warm}\n  - {name: back, at: 2500ms, rollback: warm, vmgenid: false}", EACH_MS),
    ("reboot", "1", "12s", "{name: battery, at: 500ms, rtc-reset: 2026-01-15T09:59:53Z}\n  - {name: off, at: 4500ms, restart: node, for: 5s}",
     "start: 2026-01-15T10:00:00Z\n" + EACH_MS),
]
# Differences that are real: row (a pattern), generator, property, why.
KNOWN = [
    ("leap", "unixnano(:user)?", "unique", "simulated calls stand on a grid and read the same ns again a second later, real ones never do"),
    ("vm-stop|host-stop|s3", "unixnano(:user)?", "unique", "simulated threads go on at the same ns, real ones never do"),
    ("clone|rollback", "(unixnano|milli-rand32|trace-id|mono-offset|hlc|uuidv[167]|ulid|truetime|instagram|pushid|tsid|snowflake:ms20)(:.*)?", "unique",
     "what else than the ms is in a key (random bits, ns, a count) comes again in another ms: a machine stands while it is kept"),
    ("reboot", "flake", "unique", "it persists its time once a second, and a boot's wall clock is off by up to one"),
    ("jitter|strobe", "milli-rand32", "increasing", "of two keys of one ms the random bits say which is the larger"),
]
FLIP = 3     # so many calls may fall on the other side of a tick, or of another call, by the timing of a real machine
NOISE = 8    # a fault begins and ends some ms late
SHARE = 0.2  # and of large counts this share


def generators():
    with open(os.path.join(SCENARIOS, "suites/generators.yaml"), encoding="utf-8") as f:
        text = re.search(r"generators: \[(.*?)\]", f.read(), re.S).group(1)
    return [name.strip().strip('"') for name in text.split(",")]


def differs(simulated, real, count=True):
    """what two judgements of a claim disagree about, or None"""
    pair = {simulated["verdict"], real["verdict"]}
    if "untested" in pair:
        return None if len(pair) == 1 else "%s in sim, %s in qemu: %s" % (simulated["verdict"], real["verdict"], real.get("reason") or simulated.get("reason"))
    if not count and len(pair) == 1:
        return None
    off = abs(simulated["count"] - real["count"])
    if off <= (max(NOISE, SHARE * simulated["count"]) if len(pair) == 1 else FLIP):
        return None
    return "%s %d in sim, %s %d in qemu" % (simulated["verdict"], simulated["count"], real["verdict"], real["count"])


def known(row, generator, claim):
    for pattern, name, prop, why in KNOWN:
        if re.fullmatch(pattern, row) and re.fullmatch(name, generator) and claim.startswith(prop):
            return why
    return None


def runs_of(folder, row, names):
    name, fleet, duration, faults, more = row
    path, out = os.path.join(folder, name + ".yaml"), os.path.join(folder, "r.json")
    with open(path, "w", encoding="utf-8") as f:
        f.write("keyskew: 1\nduration: %s\nfleet: %s\n%s\n" % (duration, fleet, more if "workload" in more else SELDOM + "\n" + more))
        f.write("faults:\n  - %s\n" % faults if faults else "")
    told = subprocess.run([KEYSKEW, "run", path, "-g", ",".join(names), "-w", "sim,qemu", "-j", "2", "-o", os.path.join(folder, "out"), "--json", out],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1200, check=False)
    assert told.returncode in (0, 1, 3), told.stdout
    with open(out, encoding="utf-8") as f:
        runs = json.load(f)["runs"]
    return {r["generator"]: r for r in runs if r["world"] == "sim"}, [r for r in runs if r["world"] == "qemu"]


def compare(row, simulated, real):
    """prints what differs. @return claims compared, generators that differ and nobody knows why, runs that were too busy"""
    compared, bad, busy, untested = 0, [], 0, {}
    for r in real:
        if r["status"] != "judged":
            busy += "too busy" in r["reason"]
            bad += [r["generator"]] if r["status"] == "failed" else []
            untested.setdefault("%s: %s" % (r["status"], r["reason"]), []).append(r["generator"])
            continue
        assert r["injection"] or not r["faults"], "%s: no proof of the fault" % r["generator"]
        for one, other in zip(simulated[r["generator"]]["claims"], r["claims"]):
            compared += 1
            why = differs(one, other, row not in VERDICTS_ALONE)
            if why:
                reason = known(row, r["generator"], one["claim"])
                bad += [] if reason or r["generator"] in bad else [r["generator"]]
                print("%s: %s %s: %s%s" % (row, r["generator"], one["claim"], why, "; known: " + reason if reason else ""), flush=True)
    for reason, names in untested.items():
        print("%s: %s %s" % (row, reason, ", ".join(names)), flush=True)
    return compared, bad, busy


def self_check():
    """what must not be taken for agreement"""
    kept, broken, untested = {"verdict": "kept", "count": 0}, {"verdict": "broken", "count": 50}, {"verdict": "untested", "count": 0, "reason": "no call met it"}
    assert differs(kept, broken) and differs(broken, kept) and differs(kept, untested) and differs(broken, untested)
    assert differs(broken, {"verdict": "broken", "count": 70}) and differs(broken, {"verdict": "broken", "count": 39})
    assert not differs(broken, {"verdict": "broken", "count": 58}) and not differs(kept, kept) and not differs(untested, untested)
    assert not differs(broken, {"verdict": "broken", "count": 900}, False) and differs(kept, broken, False)
    assert not known("step", "milli-rand32", "increasing@thread") and not known("jitter", "milli-rand32:x", "increasing@thread")


def main():
    self_check()
    if os.environ.get("KEYSKEW_TEST_LONG", "0") == "0":
        print("skipped: boots guests for half an hour; KEYSKEW_TEST_LONG=1 runs it")
        return SKIP
    names, wanted, failed = generators(), sys.argv[3:], []
    with tempfile.TemporaryDirectory(prefix="keyskew-guest-agreement-") as folder:
        for row in ROWS:
            if wanted and row[0] not in wanted:
                continue
            simulated, real = runs_of(folder, row, names)
            if all("no guest image" in r["reason"] or "no qemu-system" in r["reason"] for r in real):
                print("skipped: " + real[0]["reason"])
                return SKIP
            compared, bad, busy = compare(row[0], simulated, real)
            for _ in range(2 if busy <= len(names) // 4 else 0):  # real time is noisy: what is a difference is one again
                if bad:
                    bad = compare(row[0], *runs_of(folder, row, bad))[1]
            print("%s: %d claims of %d generators compared, %s; %d runs on a machine too busy" %
                  (row[0], compared, len(real), "nobody knows why these differ: " + ", ".join(bad) if bad else "none differs unexplained", busy), flush=True)
            if bad or compared < 30:
                failed.append(row[0])
    print("failed: " + ", ".join(failed) if failed else "worlds agree")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
