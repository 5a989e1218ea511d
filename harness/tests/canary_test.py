#!/usr/bin/env python3
"""Every checker has a case that must fail.

  canary_test.py PROGRAM SOURCE

What the program lists (properties, metrics, consumers) must each stand in a scenario under canary/ whose expectation of it is false, and
is found so; the nightly suite must run all of them. What no scenario can make fail, because theory follows from the plan and a
fault that does not arrive is no fault, has planted bugs in mutants.txt; of it so many at least, in the files named here.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from mutation_test import read_mutants

PLANTED = {
    "theory": (("harness/check/theory.c", "harness/check/law.c", "harness/check/ticks.c", "harness/check/wall.c"), ("test_", "run "), 10),
    "injection": (("sim/engine/faults.c",), ("unproven ",), 3),
    "hidden state (--twice)": (("sim/",), ("twice ",), 3),
    "exposure": (("harness/check/exposure.c", "harness/check/lives.c"), ("test_", "run "), 3),
}


def listed(program, kind):
    done = subprocess.run([program, "list", kind, "--json"], capture_output=True, text=True, check=True)
    return [row["name"] for row in json.loads(done.stdout)]


def runs(program, source, *words):
    environment = dict(os.environ, KEYSKEW_SCENARIOS=os.path.join(source, "scenarios"))
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([program, "run", *words, "-w", "sim", "-j2", "-o", folder + "/out"], env=environment,
                              cwd=folder, capture_output=True, text=True)
        if done.returncode not in (0, 1):
            sys.exit("%s ended with %d: %s" % (" ".join(words), done.returncode, done.stderr))
        with open(folder + "/out/result.json", encoding="utf-8") as stream:
            return json.load(stream)["runs"]


def name_of(text):
    """'sorted(100ms)@fleet: kept' -> 'sorted'; 'payment-gateway.double_charges: 0' -> 'payment-gateway'"""
    return re.match(r"[A-Za-z0-9_-]+", text).group()


def canaries(program, source):
    """-> names that false expectations speak of, and what is wrong"""
    found, wrong = set(), []
    for run in runs(program, source, "canary"):
        where = "%s of %s" % (run["scenario"], run["generator"])
        if len(run["expectations"]) != 1:
            wrong.append("%s: %d expectations, expected one: others could hide that it is met" % (where, len(run["expectations"])))
        for x in run["expectations"]:
            if x["met"]:
                wrong.append("%s: '%s' is met, and it is false" % (where, x["text"]))
            else:
                found.add(name_of(x["text"]))
    return found, wrong


def control(program, source):
    """A control without the fault shows nothing of what the run shows."""
    run = runs(program, source, "canary/unique")[0]
    here, there = (m["duplicates"]["node"] for m in (run["metrics"], run["control"]["metrics"]))
    return [] if (here, there) == (120, 0) else ["the control of canary/unique has %s duplicates, the run %s; expected 0 and 120" % (there, here)]


def planted(source):
    mutants, wrong = read_mutants(os.path.join(source, "harness/tests/mutants.txt")), []
    for name, (files, catchers, least) in PLANTED.items():
        n = sum(m.path.startswith(files) and m.catcher.startswith(catchers) for m in mutants)
        print("%s: %d planted bugs" % (name, n))
        if n < least:
            wrong.append("%s: %d planted bugs, expected %d at least" % (name, n, least))
    return wrong


def nightly(source):
    with open(os.path.join(source, "scenarios/suites/nightly.yaml"), encoding="utf-8") as stream:
        text = stream.read()
    files = [f.removesuffix(".yaml") for f in os.listdir(os.path.join(source, "scenarios/canary"))]
    return ["nightly does not run canary/%s" % f for f in sorted(files) if not re.search(r"canary/%s[,}\s]" % re.escape(f), text)]


def main():
    program, source = [os.path.abspath(p) for p in sys.argv[1:3]]
    found, wrong = canaries(program, source)
    checkers = [name for kind in ("properties", "metrics", "consumers") for name in listed(program, kind)]
    wrong += ["%s has no canary" % name for name in checkers if name not in found]
    wrong += control(program, source) + planted(source) + nightly(source)
    for line in wrong:
        print("FAIL %s" % line)
    print("%d checkers, %d with a canary" % (len(checkers), len(found & set(checkers))))
    return 1 if wrong or len(checkers) < 20 else 0


if __name__ == "__main__":
    sys.exit(main())
