#!/usr/bin/env python3
"""Black-box tests of real processes under libfaketime: agreement with the simulation, proof, and what may not be left behind.

  process_test.py PROGRAM [GROUP|TEST]...  as cli_test.py, whose machinery this uses: a fresh folder for each test, which fails
                                           also when it leaves a process, shared memory or a temporary file behind
"""
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import cli_test
from cli_test import Skip, need_faketime, run_of, scenario, tail, test

cli_test.TESTS.clear()

VARIANTS = ["snowflake:unchecked", "uuidv7:counter"]
# Differences that are real, with their cause; README, "Where real processes differ".
KNOWN = {
    ("unixnano", "unique"): "simulated threads go on at the same ns, real ones never do",
    ("uuidv1", "unique"): "a clone on a machine does not read its clock at the same 100 ns",
    ("uuidv6", "unique"): "a clone on a machine does not read its clock at the same 100 ns",
    ("unique-rowid", "unique"): "a clone on a machine does not always read its clock at the same 10 us",
    ("timer", "available"): "a real thread that sleeps wakes up when the machine lets it",
}
CLONED = "counter,snowflake,uuidv7,uuidv7:counter,ulid,trace-id,lamport,objectid,unixmilli,nanotime"   # of all in the long tests
FLIP = 3       # so many calls may fall on the other side of a tick, or of another call, by the timing of a real machine
NOISE = 8      # a fault begins and ends some ms late, a process takes some tens of ms to start: a call every 10 ms
SHARE = 0.2    # and of large counts this share


def generators(t):
    names = [g["name"] for g in __import__("json").loads(t.run("list", "generators", "--json", code=0).out)]
    return ",".join(n for n in names if n != "null") + "," + ",".join(VARIANTS)


def differs(simulated, real, late):
    """late: calls that the machine began too late, by its own account, after which anything may be on the other side of a tick
    @return what two judgements of a claim disagree about, or None"""
    pair = {simulated["verdict"], real["verdict"]}
    if "untested" in pair:
        return None if simulated["verdict"] == real["verdict"] else "one is untested: %s" % (real.get("reason") or simulated.get("reason"))
    off = abs(simulated["count"] - real["count"])
    if off <= (max(NOISE, SHARE * simulated["count"]) if len(pair) == 1 else FLIP) + 2 * late:
        return None
    return "%s %d in sim, %s %d in faketime" % (simulated["verdict"], simulated["count"], real["verdict"], real["count"])


# "for what both carry the verdicts are the same for every built-in generator, counts within the band of timing noise"
def agreement(name):
    def run(t):
        need_faketime()
        if name not in SHORT_ONES and os.environ.get("KEYSKEW_TEST_LONG") != "1":
            raise Skip("KEYSKEW_TEST_LONG=1 compares the worlds for this fault too")
        names = generators(t) if name != "clone" or os.environ.get("KEYSKEW_TEST_LONG") == "1" else CLONED
        t.run("run", "real-" + name, "-g", names, "-w", "sim,faketime", "-j", "6", "--json", "r.json", code=(0, 1, 3), timeout=200)
        runs = t.json("r.json")["runs"]
        simulated = {r["generator"]: r for r in runs if r["world"] == "sim"}
        compared, busy = 0, []
        for real in (r for r in runs if r["world"] == "faketime"):
            if real["status"] == "untested":
                t.check(real["reason"], "%s is untested without a reason" % real["generator"])
                continue
            if real["status"] == "failed" and cli_test.BUSY.search(real.get("reason", "")):
                busy.append("%s: %s" % (real["generator"], real["reason"]))
                continue
            t.need(real["status"] == "judged", "%s: %s: %s" % (real["generator"], real["status"], real.get("reason")))
            t.check(real["injection"], "%s: no proof of the fault" % real["generator"])
            t.check(real["machine"]["call_late_ns_max"] >= 0, "%s: what the machine did is not told" % real["generator"])
            for one, other in zip(simulated[real["generator"]]["claims"], real["claims"]):
                why = differs(one, other, real["machine"]["calls_late"])
                known = (real["generator"], re.match("[a-z]+", one["claim"]).group())
                compared += 1
                t.check(not why or known in KNOWN, "%s %s: %s" % (real["generator"], one["claim"], why))
        if len(busy) > 2:
            raise Skip("this machine is too busy: %s" % "; ".join(busy[:2]))
        t.check(compared >= 12, "only %d claims were compared" % compared)
    run.__name__ = "agreement_" + name.replace("-", "_")
    return run


SHORT_ONES = ("freeze", "restart-lost", "clone")
for scenario_name in SHORT_ONES + ("strobe", "jitter", "coarse", "slew", "drift", "leap", "smear", "stop-world", "pause", "suspend", "vm-stop",
                                   "restart-kept", "registry"):
    test("agreement")(agreement(scenario_name))


# "-w sim,faketime prints the worlds side by side"
@test("agreement")
def side_by_side(t):
    need_faketime()
    out = t.run("run", "real-freeze", "-g", "snowflake,nanotime,unixmilli", "-w", "sim,faketime", "-j", "3").out
    t.check(re.search(r"worlds side by side\n +sim +faketime\n", out), "no table: %s" % out[-900:])
    t.check(re.search(r"snowflake +unique@fleet +kept +kept", out), "no row of snowflake: %s" % out[-900:])
    t.check(re.search(r"unixmilli +unique@process +broken \d+ +broken \d+", out), "no row of unixmilli: %s" % out[-900:])


# "node-id": of pids, addresses and leases, in real processes: decoded from the keys of three nodes
@test("agreement")
def node_ids(t):
    need_faketime()
    t.write("s.yaml", "keyskew: 1\nduration: 300ms\nfleet: {nodes: 3}\nworkload: {rate: 50/s}\n")
    ids = {}
    for rule in ("pid", "mac", "lease"):
        for world in ("sim", "faketime"):
            t.run("run", "s.yaml", "-g", "snowflake", "-w", world, "--set", "fleet.node_id=" + rule, "--keys", "k.tsv", timeout=60)
            rows = [line.split("\t") for line in t.read("k.tsv").decode().splitlines() if not line.startswith("#")]
            node, key = rows[0].index("node"), rows[0].index("key")
            ids[rule, world] = {row[node]: int(row[key]) >> 12 & 1023 for row in rows[1:]}
            t.need(len(ids[rule, world]) == 3, "%s in %s: %d nodes have keys" % (rule, world, len(ids[rule, world])))
    pids = sorted(ids["pid", "faketime"].values())
    t.check(len(set(pids)) == 3 and ids["pid", "faketime"] != ids["pid", "sim"], "pids: %s" % pids)
    # five bits are of the address, which is the scenario's in both worlds, five of the pid
    t.check({n: i >> 5 for n, i in ids["mac", "sim"].items()} == {n: i >> 5 for n, i in ids["mac", "faketime"].items()},
            "addresses: %s" % ids)
    t.check(sorted(ids["lease", "faketime"].values()) == [1, 2, 3], "leases: %s" % ids["lease", "faketime"])


# --- proof --------------------------------------------------------------------------------------------------------------

STATIC_C = r"""
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>
int main(void)
{
	for (unsigned n = 0;; n++) {
		struct timespec t, nap = {0, 5000000};
		syscall(SYS_clock_gettime, CLOCK_REALTIME, &t);
		unsigned long long ms = (unsigned long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
		printf("%08llx-%04llx-7%03x-8000-%012x\n", ms >> 16, ms & 0xffff, n >> 12 & 0xfff, n);
		fflush(stdout);
		nanosleep(&nap, NULL);
	}
}
"""
STATIC_GO = """package main

import (
	"fmt"
	"time"
)

func main() {
	for n := 0; ; n++ {
		ms := time.Now().UnixMilli()
		fmt.Printf("%08x-%04x-7%03x-8000-%012x\\n", ms>>16, ms&0xffff, n>>12&0xfff, n)
		time.Sleep(5 * time.Millisecond)
	}
}
"""


def not_reached(t, program):
    t.write("s.yaml", scenario(duration="2s", faults="  - {name: back, at: 1s, node: n1, step: -120ms}\n",
                               more="start: 2026-01-15T10:00:00Z\n"))
    t.run("run", "s.yaml", "-w", "faketime", "-g", "exec:./" + program, "--json", "r.json", code=3, timeout=60)
    run = t.json("r.json")["runs"][0]
    t.check(run["status"] == "failed" and "libfaketime" in run["reason"], "%s: %s" % (run["status"], run.get("reason")))
    t.check(not run.get("as_expected"), "it is green")
    t.check(run["world_detail"].startswith("libfaketime"), "a failed run says of its world %r" % run["world_detail"])


# "A static Go program under faketime must end that way": exit 3, never green
@test("proof")
def static_go(t):
    need_faketime()
    if not shutil.which("go"):
        raise Skip("golang-go is not installed; static_c shows the same")
    t.write("ids.go", STATIC_GO)
    home = os.path.expanduser("~")
    built = subprocess.run(["go", "build", "-o", "ids", "ids.go"], cwd=t.work, capture_output=True, text=True, check=False,
                           env=dict(os.environ, CGO_ENABLED="0", GOCACHE=home + "/.cache/go-build", GO111MODULE="off"))
    t.need(built.returncode == 0, "go: %s" % built.stderr[-300:])
    not_reached(t, "ids")


@test("proof")
def static_c(t):
    need_faketime()
    t.write("ids.c", STATIC_C)
    built = subprocess.run(["cc", "-static", "-o", "ids", "ids.c"], cwd=t.work, capture_output=True, text=True, check=False)
    if built.returncode != 0:
        raise Skip("no static libc")
    not_reached(t, "ids")


# --- nothing is left, nothing is touched ---------------------------------------------------------------------------------

STRAY = """import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.close(1)
        while True:
            time.sleep(1)
    os._exit(0)
os.wait()
n = 0
while True:
    print(n, flush=True)
    n += 1
    import threading
    threading.Event().wait(0.005)
"""


def under_way(t, process):
    """waits until a process that keyskew started runs on its control file and has done something"""
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        for stage in glob.glob("/dev/shm/keyskew-%d-*" % process.pid):
            if glob.glob(stage + "/pid-*"):
                time.sleep(1)
                return
        time.sleep(0.05)
    t.need(False, "nothing was started within 60 s: %s" % process.poll())


def stop_midway(t, number, generator):
    process = t.start("run", "real-freeze", "-w", "faketime", "-g", generator, "--set", "duration=120s", "-o", "out")
    under_way(t, process)
    os.kill(process.pid, number)
    return t.finish(process, timeout=60)  # the run itself would take 120 s


# "nothing is left after SIGINT": the machinery looks for it
@test("left")
def interrupt(t):
    need_faketime()
    result = stop_midway(t, signal.SIGINT, "snowflake")
    t.check(result.code == 130, "exit %d: %s" % (result.code, tail(result)))


@test("left")
def interrupt_a_forking_program(t):
    need_faketime()
    t.write("stray.py", STRAY)
    t.write("s.yaml", scenario(faults="", duration="120s"))
    process = t.start("run", "s.yaml", "-w", "faketime", "-g", "exec:python3 stray.py", "-o", "out")
    under_way(t, process)
    os.kill(process.pid, signal.SIGINT)
    result = t.finish(process, timeout=60)
    t.check(result.code == 130, "exit %d: %s" % (result.code, tail(result)))


# "SIGKILL of the harness (the next run sweeps its own leftovers)"
@test("left")
def killed_harness(t):
    need_faketime()
    t.write("stray.py", STRAY)
    t.write("s.yaml", scenario(faults="", duration="120s"))
    process = t.start("run", "s.yaml", "-w", "faketime", "-g", "exec:python3 stray.py", "-o", "out")
    under_way(t, process)
    os.kill(process.pid, signal.SIGKILL)
    t.finish(process, timeout=60)
    left = [n for n in os.listdir("/dev/shm") if n.startswith("keyskew-%d-" % process.pid)]
    t.check(left, "there was nothing to sweep, so this shows nothing")
    t.run("run", "real-freeze", "-w", "faketime", "-g", "counter", "-o", "out2", timeout=60)
    left = [n for n in os.listdir("/dev/shm") if n.startswith("keyskew-%d-" % process.pid)]
    t.check(not left, "the next run left %s" % left)


# "A test traces the suite (strace -f) for clock_settime, settimeofday, adjtimex, clock_adjtime: none outside guests"
@test("traced")
def nobody_sets_the_clock(t):
    need_faketime()
    if not shutil.which("strace"):
        raise Skip("strace is not installed")
    calls = "clock_settime,settimeofday,adjtimex,clock_adjtime"
    trace = ["strace", "-f", "--seccomp-bpf", "-e", "trace=" + calls, "-o"]
    # the trace can see one: adjtimex that only reads
    reader = "import ctypes; ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))"
    probe = subprocess.run(trace + ["probe.txt", "/usr/bin/python3", "-c", reader], cwd=t.work, capture_output=True, text=True,
                           check=False)
    if probe.returncode != 0 or not re.search("adjtime", t.read("probe.txt").decode()):
        raise Skip("strace cannot trace here: %s" % probe.stderr[-200:])
    env = t.environment()
    suite = subprocess.run(trace + ["suite.txt", t.program, "run", "nightly", "-w", "faketime", "-j", "8", "-o", "out"],
                           cwd=t.work, env=env, capture_output=True, text=True, timeout=400 * cli_test.SCALE, check=False)
    t.check(suite.returncode in (0, 1, 3), "exit %d: %s" % (suite.returncode, suite.stderr[-300:]))
    runs = t.json("out/result.json")["runs"]
    t.check(sum(r["world"] == "faketime" for r in runs) > 10, "the suite was not run")
    found = [line for line in t.read("suite.txt").decode().splitlines() if re.search(calls.replace(",", "|"), line)]
    t.check(not found, "the clock was touched: %s" % found[:3])


if __name__ == "__main__":
    sys.exit(cli_test.main())
