#!/usr/bin/env python3
"""Run the part of a suite in sim and recompute all that is said of every run from its key file.

  recompute_suite.py PROGRAM SCENARIOS [SUITE [SHARE]]       SUITE: nightly; SHARE: 8

A sixth of the suite is run, all of it with KEYSKEW_TEST_LONG=1. Key files of up to a MB are all recomputed, of the larger ones one in SHARE, and at least one of each scenario; 1: all.
"""
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import recompute  # noqa: E402

LONG = os.environ.get("KEYSKEW_TEST_LONG", "0") != "0"


def left_out(keys, result, share):
    with open(result, encoding="utf-8") as stream:
        scenario_of = {run["id"]: run["scenario"] for run in json.load(stream)["runs"]}
    seen, large, names = set(), 0, []
    for name in sorted(os.listdir(keys)):
        path, scenario = os.path.join(keys, name), scenario_of.get(name[:-4])
        if os.path.getsize(path) <= 1 << 20:
            continue
        large += 1
        if scenario in seen and large % share:
            names.append(path)
        seen.add(scenario)
    return names


def main():
    program, scenarios = [os.path.abspath(p) for p in sys.argv[1:3]]
    suite = sys.argv[3] if len(sys.argv) > 3 else "nightly"
    share = int(sys.argv[4]) if len(sys.argv) > 4 else 8
    with tempfile.TemporaryDirectory() as folder:
        keys, result = folder + "/keys", folder + "/result.json"
        environment = dict(os.environ, KEYSKEW_SCENARIOS=scenarios, PATH="/nonexistent")
        done = subprocess.run([program, "run", suite, "-w", "sim", "--seed", "1", "--shard", "1/1" if LONG else "2/6", "-j", str(os.cpu_count()), "-o", folder + "/out", "--keys",
                               keys + "/", "--json", result], env=environment, cwd=folder, capture_output=True, text=True)
        if done.returncode not in (0, 1):
            print("keyskew ended with %d: %s" % (done.returncode, done.stderr))
            return 1
        for path in left_out(keys, result, share):
            os.unlink(path)
        differences, compared, files = recompute.check_files(keys, result)
    for difference in differences:
        print(difference)
    print("%d comparisons in %d key files, %d differences" % (compared, files, len(differences)))
    return 1 if differences or compared < 10 * files else 0


if __name__ == "__main__":
    sys.exit(main())
