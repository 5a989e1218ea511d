#!/usr/bin/env python3
"""Faults in guests, each run for itself: the proof is there and within its tolerance, what the keys show fits, and a clone without a
generation id draws the random bits that its owner draws, one with a new id does not. Takes some minutes: KEYSKEW_TEST_LONG=1.

    guest_faults_test.py KEYSKEW SCENARIOS
"""
import csv
import glob
import json
import os
import subprocess
import sys
import tempfile

SKIP = 77
KEYSKEW, SCENARIOS = sys.argv[1:]
SHORT = ["fleet.nodes=1", "duration=3s", "workload.rate=100/s", "workload.phase=200us"]
STEP = SHORT + ["faults.back.node=n1", "faults.back.at=1s"]
RUNS = [  # scenario, generator, settings, faults
    ("basics/ntp-step-back", "snowflake", STEP + ["fleet.clocksource=tsc"], ["back"]),
    ("basics/ntp-step-back", "snowflake", STEP + ["fleet.clocksource=hpet"], ["back"]),
    ("basics/ntp-step-back", "snowflake", STEP + ["fleet.clocksource=acpi_pm"], ["back"]),
    ("basics/ntp-step-back", "snowflake", STEP + ["fleet.clocksource=jiffies"], ["back"]),
    ("processes/real-slew", "snowflake", [], ["slower"]),
    ("processes/real-drift", "snowflake", [], ["slow"]),
    ("processes/real-strobe", "snowflake", [], ["flicker"]),
    ("processes/real-vm-stop", "snowflake", [], ["stop"]),
    ("processes/real-pause", "counter", [], ["gc"]),
    ("processes/real-stop-world", "snowflake", [], ["gc"]),
    ("guests/vcpu-stop", "snowflake", [], ["steal"]),
    ("guests/vcpu-stop", "counter", ["faults.steal.core=0"], ["steal"]),
    ("guests/vcpu-stop", "snowflake", ["workload.rate=1000/s", "fleet.clocksource=hpet"], ["steal"]),
    ("guests/guest-leap", "snowflake", [], ["second"]),
    ("guests/guest-suspend", "snowflake", [], ["sleep"]),
    ("guests/guest-host-stop", "snowflake", [], ["stop"]),
    ("guests/guest-stale", "unixmilli", [], ["sleep", "too-far", "back"]),
    ("guests/guest-rollback", "counter", [], ["keep", "back"]),
    ("guests/guest-rollback", "counter", ["fleet.clocksource=acpi_pm"], ["keep", "back"]),
    ("guests/guest-rollback", "counter", ["fleet.clocksource=tsc", "faults.back.clocks=running"], ["keep", "back"]),
    ("guests/guest-reboot", "snowflake", [], ["battery", "reboot", "sync"]),
    ("guests/guest-reboot", "snowflake:persist=true", ["fleet.nodes=2", "faults.reboot.for=6500ms", "fleet.clocksource=hpet"], ["battery", "reboot", "sync"]),
]


def run(folder, scenario, generator, sets, more=()):
    out = os.path.join(folder, "r.json")
    command = [KEYSKEW, "run", os.path.join(SCENARIOS, scenario + ".yaml"), "-w", "qemu", "-g", generator, "-o", os.path.join(folder, "out"),
               "--json", out, *more]
    for value in sets:
        command += ["--set", value]
    told = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False)
    with open(out, encoding="utf-8") as f:
        result = json.load(f)["runs"][0]
    assert "metrics" in result, "%s: %s" % (scenario, told.stdout)
    return result


def faults(folder):
    for scenario, generator, sets, names in RUNS:
        result = run(folder, scenario, generator, sets)
        proofs = {p["fault"]: p for p in result["injection"]}
        assert sorted(proofs) == sorted(names), "%s: proofs of %s" % (scenario, sorted(proofs))
        print(scenario, generator, *sets[-1:], {n: [v for k, v in p.items() if k.startswith(("commanded", "observed"))] for n, p in proofs.items()}, flush=True)


def tails(path):
    """Of the keys of each node, what follows the time and the version of a UUIDv7."""
    nodes = {}
    with open(path, encoding="utf-8") as f:
        for row in csv.DictReader((line for line in f if not line.startswith("#")), delimiter="\t"):
            nodes.setdefault(row["node"], []).append(row["key"][15:])
    return nodes["0"], nodes["1"]


def random_bits(folder, vmgenid):
    keys = os.path.join(folder, "keys-" + vmgenid)
    run(folder, "guests/guest-clone", "uuidv7", ["faults.copy.vmgenid=" + vmgenid], ["--keys", keys])
    first, clone = tails(glob.glob(keys + "/*.tsv")[0] if os.path.isdir(keys) else keys)
    again = len(set(first) & set(clone))
    print("vmgenid %s: of the clone's %d random parts its owner has drawn %d" % (vmgenid, len(clone), again), flush=True)
    return again


def main():
    if os.environ.get("KEYSKEW_TEST_LONG", "0") == "0":
        print("skipped: boots guests for some minutes; KEYSKEW_TEST_LONG=1 runs it")
        return SKIP
    with tempfile.TemporaryDirectory(prefix="keyskew-guest-faults-") as folder:
        probe = subprocess.run([KEYSKEW, "run", os.path.join(SCENARIOS, "basics/steady.yaml"), "-w", "qemu", "-g", "counter", "--set", "duration=100ms", "--set",
                                "fleet.nodes=1", "-o", os.path.join(folder, "probe")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if "no guest image" in probe.stdout or "no qemu-system" in probe.stdout:
            print("skipped: " + probe.stdout.strip().splitlines()[-1])
            return SKIP
        faults(folder)
        assert random_bits(folder, "false") > 100, "a clone's random source is another one without a generation id"
        assert random_bits(folder, "true") <= 64, "a generation id did not renew the random source"
    return 0


if __name__ == "__main__":
    sys.exit(main())
