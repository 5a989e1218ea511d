#!/usr/bin/env python3
"""Black-box tests of the world qemu.

  guest_test.py PROGRAM [GROUP|TEST]...    as cli_test.py, whose machinery this uses: a fresh folder and /dev/shm for each test, which
                                           fails also when it leaves a process, shared memory or a temporary file behind
  environment: KEYSKEW_FAKE_QEMU           folder of the program that calls itself QEMU (vm-images/tests/fake_qemu.c)
               KEYSKEW_TEST_LONG=1         boot guests too
"""
import os
import signal
import subprocess
import sys
import time

import cli_test
from cli_test import Skip, children, descendants, recompute, run_of, scenario, tail, test

cli_test.TESTS.clear()

THREE = "unixmilli,snowflake,counter"


def fake(t, how):
    """no guest: QEMU is a program that only calls itself so, the image is two empty files"""
    folder = os.environ.get("KEYSKEW_FAKE_QEMU")
    if not folder:
        raise Skip("KEYSKEW_FAKE_QEMU names no folder")
    for name in ("vmlinux", "initramfs"):
        t.write("guest/current/" + name, "")
    return {"PATH": folder + ":" + os.environ["PATH"], "KEYSKEW_GUEST": t.path("guest"), "KEYSKEW_ACCEL": "tcg", "KEYSKEW_FAKE": how}


def guests():
    """real ones; the image is cached in the real home"""
    if os.environ.get("KEYSKEW_TEST_LONG") != "1":
        raise Skip("KEYSKEW_TEST_LONG=1 boots guests")
    env = {"KEYSKEW_GUEST": os.environ.get("KEYSKEW_GUEST") or os.path.expanduser("~/.cache/keyskew/guest")}
    if not os.path.exists(env["KEYSKEW_GUEST"] + "/current/vmlinux"):
        raise Skip("no guest image")
    return env


def small(t, duration="600ms", at="300ms", rate="5000/s"):
    return t.write("s.yaml", scenario(duration=duration, workload="{rate: %s}" % rate,
                                      faults="  - {name: back, at: %s, node: n1, step: -120ms}\n" % at, expect="  other: {lost: 0}\n"))


def reasons(document):
    return {r["generator"]: r.get("reason", "") for r in document["runs"] if r["status"] == "failed"}


def qemu_of(process):
    found = []
    for pid in descendants(process.pid):
        try:
            with open("/proc/%d/comm" % pid, encoding="ascii", errors="replace") as stream:
                found += [pid] if stream.read().startswith("qemu-system") else []
        except OSError:
            pass
    return found


def when(condition, seconds=60):
    limit = time.monotonic() + seconds * cli_test.SCALE
    while not condition() and time.monotonic() < limit:
        time.sleep(0.02)


def finished(t):
    """runs whose result has been put aside"""
    folder = t.path("out")
    return sum(name.endswith(".json") for _, _, names in os.walk(folder) for name in names) if os.path.isdir(folder) else 0


# --- without a guest ----------------------------------------------------------------------------------------------------

# "the result says which" accelerator and clock source; every metric is recomputable from the key file
@test("fake")
def a_run(t):
    os.mkdir(t.path("k"))
    t.run("run", small(t), "-w", "qemu", "-g", "unixmilli,snowflake", "--json", "r.json", "--keys", "k", code=0, env=fake(t, "good"))
    for run in t.json("r.json")["runs"]:
        t.check(run["world_detail"] == "tcg, linux 0.0 fake, QEMU 0.0.0", "detail %r" % run["world_detail"])
        t.check(abs(recompute.as_int(run["injection"][0]["observed_ns"]) + 120000000) < 5000000, "%r" % run["injection"])
    t.compare("k", "r.json")


# What a call is about is drawn from its node, thread and number: the key shows the same user as the key file, in every node.
@test("fake")
def what_calls_are_about(t):
    t.write("s.yaml", scenario(duration="300ms", fleet="2", faults="", workload="{rate: 1000/s}"))
    t.run("run", "s.yaml", "-w", "qemu", "-g", "unixmilli:user", "--keys", "k.tsv", code=(0, 1), env=fake(t, "good"))
    rows = [line.split("\t") for line in t.read("k.tsv").decode().splitlines() if not line.startswith("#")]
    node, key, context = (rows[0].index(name) for name in ("node", "key", "context"))
    t.need({row[node] for row in rows[1:]} == {"0", "1"}, "%d rows are not of two nodes" % len(rows))
    wrong = [row for row in rows[1:] if "user=%s," % row[key].split(":")[1] not in row[context]]
    t.check(not wrong, "%d of %d keys are about another user than their calls: %s" % (len(wrong), len(rows) - 1, wrong[:1]))


# "missing symbols are reported": in the result, on the terminal and on the page
@test("fake")
def a_kernel_that_lacks_a_function(t):
    result = t.run("run", small(t), "-w", "qemu", "-g", "counter", "--set", "capture.jump=100ms", "-o", "o", code=0, env=fake(t, "good"))
    t.check(t.json("o/result.json")["runs"][0]["capture"]["missing"] == ["do_.[31madjtimex"], "%r" % t.json("o/result.json")["runs"][0]["capture"])
    says = "this kernel has no do_.[31madjtimex to watch"
    t.check(says in result.out and says in t.read("o/index.html").decode(), "nobody is told: %s" % tail(result))


# Relations of clocks are those of an accelerator: what was measured under one is not claimed of the other
@test("fake")
def what_was_never_tried_under_kvm(t):
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise Skip("no /dev/kvm")
    t.write("s.yaml", scenario(duration="600ms", faults="  - {name: stop, at: 200ms, node: n1, suspend: vm-stop, for: 200ms}\n"))
    result = t.run("run", "s.yaml", "-w", "qemu", "-g", "counter", code=3, env=dict(fake(t, "good"), KEYSKEW_ACCEL="kvm"))
    t.check("untested" in result.out and "KEYSKEW_ACCEL=tcg carries it" in result.out, tail(result))


# "guest panics: exit 3 with the console's tail in the message"; test_fleet has the other ways to misbehave
@test("fake")
def a_guest_that_panics(t):
    result = t.run("run", small(t), "-w", "qemu", "-g", "counter", "--json", "r.json", code=3, env=fake(t, "panic"))
    says = "Kernel panic - not syncing: out of .[31mpatience"
    reason = reasons(t.json("r.json")).get("counter", "")
    t.check(says in reason and says in result.out + result.err, "%r: %s" % (reason, tail(result)))
    detail = t.json("r.json")["runs"][0]["world_detail"]
    t.check(detail.startswith("tcg, linux ") and "QEMU 0.0.0" in detail, "a failed run says of its world %r" % detail)


# "hangs": the run's time-out ends it
@test("fake")
def a_guest_that_hangs(t):
    result = t.run("run", small(t), "-w", "qemu", "-g", "counter", "--timeout", "2s", "--json", "r.json", code=3, env=fake(t, "hang"))
    t.check("time-out after 2s; console of node 'n1': watchdog: soft lockup" in str(reasons(t.json("r.json"))), tail(result))
    t.check(t.json("r.json")["runs"][0]["world_detail"].startswith("tcg, linux "), "a run that is timed out does not say of what world")


# "QEMU is killed: exit 3, finished runs kept, nothing left"
def killed(t, env, generators, timeout):
    process = t.start("run", "s.yaml", "-w", "qemu", "-g", generators, "-o", t.path("out"), "-j1", env=env)
    when(lambda: finished(t) >= 1 and qemu_of(process))
    time.sleep(0.3)
    for pid in qemu_of(process):
        os.kill(pid, signal.SIGKILL)
    result = t.finish(process, timeout)
    t.check(result.code == 3, "exit %d, expected 3: %s" % (result.code, tail(result)))
    document = t.json("out/result.json")
    t.check(len(reasons(document)) == 1 and len(document["runs"]) == len(generators.split(",")), "%r" % reasons(document))
    t.check(all("ended" in why for why in reasons(document).values()), "%r" % reasons(document))


@test("fake")
def qemu_is_killed(t):
    small(t)
    killed(t, fake(t, "good"), THREE, 30)


# "SIGINT: finished runs kept, nothing left", and the rest can be run later
def interrupted(t, env, generators, timeout):
    args = ("run", "s.yaml", "-w", "qemu", "-g", generators, "-o", t.path("out"), "-j1")
    process = t.start(*args, env=env)
    when(lambda: finished(t) >= 1 and qemu_of(process))
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGINT)
    result = t.finish(process, timeout)
    t.check(result.code == 130, "exit %d, expected 130: %s" % (result.code, tail(result)))
    t.check(not [c for c in children() if c[1].startswith("qemu")], "a guest is left")
    t.run(*args, code=0, env=env, timeout=timeout)
    document = t.json("out/result.json")
    t.check(len(document["runs"]) == len(generators.split(",")) and not reasons(document), "%r" % reasons(document))


@test("fake")
def a_run_is_interrupted(t):
    small(t)
    interrupted(t, fake(t, "good"), THREE, 30)


# A program that is not there is the caller's mistake, as in every other world; one that cannot be carried is untested.
@test("fake")
def a_missing_program(t):
    t.run("run", small(t), "-w", "qemu", "-g", "exec:./none", code=2, says="cannot run './none'", env=fake(t, "good"))
    t.run("run", small(t), "-w", "qemu", "-g", "exec:no-such-program", code=2, says="cannot run 'no-such-program'", env=fake(t, "good"))


# SIGKILL of keyskew: its guests end with it
@test("fake")
def keyskew_is_killed(t):
    small(t)
    process = t.start("run", "s.yaml", "-w", "qemu", "-g", THREE, "-o", t.path("out"), env=fake(t, "good"))
    when(lambda: qemu_of(process))
    os.kill(process.pid, signal.SIGKILL)
    t.finish(process, 10)
    when(lambda: not [c for c in children() if c[1].startswith("qemu") and c[2] != "Z"], 5)


def fill_shm():
    if not cli_test.PRIVATE or subprocess.run(["mount", "-o", "remount,size=4k", "/dev/shm"], check=False).returncode:
        raise Skip("no /dev/shm of our own here")


def empty_shm():
    subprocess.run(["mount", "-o", "remount,size=50%", "/dev/shm"], check=False)


# "/dev/shm full": guests need none of it, as their memory has no name
@test("fake")
def dev_shm_is_full(t):
    fill_shm()
    try:
        t.run("run", small(t), "-w", "qemu", "-g", "counter", code=0, env=fake(t, "good"))
    finally:
        empty_shm()


# "Without QEMU: untested with the reason, and 3 where required"
@test("fake")
def no_qemu(t):
    env = {"PATH": "/nonexistent"}
    result = t.run("run", small(t), "-w", "qemu", "-g", "counter", code=3, env=env)
    t.check("apt-get install qemu-system-x86" in result.out + result.err, tail(result))
    t.write("both.yaml", scenario(duration="4s"))
    result = t.run("run", "both.yaml", "-w", "auto", "-g", "counter", "--json", "r.json", code=0, env=env)
    t.check(run_of(t.json("r.json"), "counter", world="sim"), "sim did not run: %s" % tail(result))


# --- with guests --------------------------------------------------------------------------------------------------------

# "-w qemu boots one guest, steps its clock by -120 ms, runs the same generators there, streams the records back"
@test("guest")
def a_guest(t):
    env = guests()
    os.mkdir(t.path("k"))
    t.run("run", small(t, "3s", "1500ms", "1000/s"), "-w", "qemu", "-g", "unixmilli,ksuid", "--json", "r.json", "--keys", "k", code=0,
          timeout=120, env=env)
    for run in t.json("r.json")["runs"]:
        t.check(run["world_detail"].startswith(("tcg, linux", "kvm, linux")), "detail %r" % run["world_detail"])
        t.check(abs(recompute.as_int(run["injection"][0]["observed_ns"]) + 120000000) < 2000000, "%r" % run["injection"])
    t.compare("k", "r.json")


@test("guest")
def guests_are_killed(t):
    small(t, "3s", "1500ms", "1000/s")
    killed(t, guests(), "unixmilli,snowflake,counter", 120)


@test("guest")
def guests_are_interrupted(t):
    small(t, "3s", "1500ms", "1000/s")
    interrupted(t, guests(), "unixmilli,snowflake,counter", 120)


@test("guest")
def dev_shm_is_full_for_guests(t):
    env = guests()
    fill_shm()
    try:
        t.run("run", small(t, "3s", "1500ms", "1000/s"), "-w", "qemu", "-g", "counter", code=0, timeout=120, env=env)
    finally:
        empty_shm()


# "image half built": what is there of it ends with what QEMU or the kernel say
@test("guest")
def half_an_image(t):
    env = guests()
    for cut in ("vmlinux", "initramfs"):
        os.makedirs(t.path("half/current"), exist_ok=True)
        for name in ("vmlinux", "initramfs"):
            with open("%s/current/%s" % (env["KEYSKEW_GUEST"], name), "rb") as stream:
                content = stream.read()
            t.write("half/current/" + name, content[:len(content) // 3] if name == cut else content)
        t.run("run", small(t, "3s", "1500ms", "1000/s"), "-w", "qemu", "-g", "counter", "--json", "r.json", code=3, timeout=200,
              env={"KEYSKEW_GUEST": t.path("half")})
        reason = str(reasons(t.json("r.json")))
        t.check("console:" in reason, "%s: %s" % (cut, reason))


if __name__ == "__main__":
    sys.exit(cli_test.main())
