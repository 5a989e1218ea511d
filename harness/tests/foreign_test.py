#!/usr/bin/env python3
"""Black-box tests of generators in other languages: ask:, generator files, keyskew new, exec: with layouts.

  foreign_test.py PROGRAM [GROUP|TEST]...  as cli_test.py, whose machinery this uses: a fresh folder for each test, which fails
                                           also when it leaves a process, shared memory or a temporary file behind
"""
import json
import os
import re
import shutil
import subprocess
import sys

import cli_test
from cli_test import SHORT, Skip, metric, need_faketime, recompute, run_of, scenario, tail, test

cli_test.TESTS.clear()

LANGUAGES = {"c": ("cc", "c"), "go": ("go", "go"), "java": ("java", "java"), "node": ("node", "js"), "python": ("python3", "py"),
             "rust": ("rustc", "rs")}
LAYOUT = "layout: {bits: [time 41, node 10, seq 12], unit: 1ms, epoch: 1288834974657ms}\n"


def tools():
    """compilers keep their state in the real home"""
    home = os.path.expanduser("~")
    env = {"RUSTUP_HOME": os.environ.get("RUSTUP_HOME", home + "/.rustup"), "CARGO_HOME": os.environ.get("CARGO_HOME", home + "/.cargo"),
           "GOCACHE": os.environ.get("GOCACHE", home + "/.cache/go-build"), "GOFLAGS": "-mod=mod", "GO111MODULE": "auto"}
    if os.path.isdir(home + "/.pyenv"):
        env["PYENV_ROOT"] = home + "/.pyenv"
    return env


def python(t, name, body, head="import select, sys\n"):
    return t.write(name, head + body)


def genfile(t, name, command, more=""):
    return t.write(name, "command: [%s]\n%s" % (command, more))


def shown(t, row, what, size=-120000000):
    """the program's own clock shows the step, as exactly as the run says that it can tell, and it can tell well enough"""
    observed, tolerance = recompute.as_int(row["observed_ns"]), recompute.as_int(row["tolerance_ns"])
    t.check(abs(observed - size) <= tolerance <= abs(size) // 2, "%s: observed %r, within %r" % (what, observed, tolerance))


# --- languages: keyskew new, and the examples that it writes ------------------------------------------------------------

# "keyskew new generator NAME --lang L writes one", "what it writes runs at once", "the same verdicts as the built-in"
def language(name, tool, suffix):
    def run(t):
        if not shutil.which(tool):
            raise Skip("%s is not installed" % tool)
        result = t.run("new", "generator", "orderid", "--lang", name, code=0)
        t.check("keyskew run ntp-step-back -g orderid.gen.yaml" in result.out, "no next step: %s" % tail(result))
        source = t.read("orderid." + suffix)
        t.check(len(source.splitlines()) <= 22, "the example has %d lines" % len(source.splitlines()))
        t.run("run", "ntp-step-back", "-g", "orderid.gen.yaml,snowflake", "--json", "r.json", "--keys", "k/", code=0, timeout=150,
              env=tools())
        document = t.json("r.json")
        own, built_in = run_of(document, "orderid.gen.yaml"), run_of(document, "snowflake")
        t.check(own["calls"] == 60000 and own["as_expected"] is True, "%r calls, as expected %r" % (own["calls"], own["as_expected"]))
        for which, scope in (("refusals", None), ("duplicates", "fleet"), ("stall_ns_p99", None), ("below_max", "node")):
            t.check((metric(own, which, scope) or 0) // 1000 == (metric(built_in, which, scope) or 0) // 1000
                    if which.startswith("stall") else metric(own, which, scope) == metric(built_in, which, scope),
                    "%s: %r, snowflake has %r" % (which, metric(own, which, scope), metric(built_in, which, scope)))
        t.check(metric(own, "refusals") in (119, 120, 121), "%r refusals" % metric(own, "refusals"))
        t.check(metric(own, "ahead_ns_max") is not None and metric(own, "behind_ns_max") is not None, "the layout gives no times")
        t.compare("k", "r.json")
        result = t.run("new", "generator", "orderid", "--lang", name, code=2)
        t.check("exists already" in result.err and t.read("orderid." + suffix) == source, "overwritten: %s" % tail(result))
    run.__name__ = "language_" + name
    return run


for language_name, (tool_name, suffix_name) in LANGUAGES.items():
    test("language")(language(language_name, tool_name, suffix_name))


# "refuses to overwrite", "the nearest name"
@test("new")
def new_refuses(t):
    t.refused("new", "generator", "x", "--lang", "pyton", says="did you mean 'python'")
    t.refused("new", "generator", "../x", "--lang", "c", says="bad name")
    t.refused("new", "generator", "x", says="--lang")
    t.refused("new", "fault", "x", "--lang", "c", says="expected generator")
    t.write("x.gen.yaml", "mine")
    t.refused("new", "generator", "x", "--lang", "c", says="exists already")
    t.check(t.read("x.gen.yaml") == b"mine", "a file was overwritten")


# --- ask: the protocol --------------------------------------------------------------------------------------------------

MILLIS = """for _ in sys.stdin:
    print("clock wall", flush=True)
    print("key", int(sys.stdin.readline()) // 1000000, flush=True)
"""


# "deterministic in sim", "stall, ahead, behind and order are measured as for built-ins"
@test("ask")
def ask_as_built_in(t):
    python(t, "ms.py", MILLIS)
    genfile(t, "ms.gen.yaml", "python3, ms.py", "layout: {bits: [time 64], unit: 1ms}\nclaims: [unique@node]\n")
    t.write("s.yaml", scenario(expect="  other: {unique@node: broken}\n", fleet="2",
                               faults="  - {name: back, at: 2s, node: n1, step: -120ms}\n  - {at: 3s, node: n2, thread: 0, pause: 50ms}\n"))
    t.run("run", "s.yaml", "-g", "ms.gen.yaml,unixmilli", "--json", "r.json", "--keys", "k/", "--twice", code=0, env=tools())
    document = t.json("r.json")
    own, built_in = run_of(document, "ms.gen.yaml"), run_of(document, "unixmilli")
    same = ["duplicates", "descents", "below_max", "displacement", "ahead_ns_max", "refusals", "lost"]
    for name in same:
        t.check(own["metrics"].get(name) == built_in["metrics"].get(name),
                "%s: %r, unixmilli has %r" % (name, own["metrics"].get(name), built_in["metrics"].get(name)))
    # it costs a lock more than the built-in, tens of ns
    for name in ("behind_ns_max", "stall_ns_max", "stall_ns_p50"):
        t.check(abs(metric(own, name) - metric(built_in, name)) < 1000, "%s: %r and %r" % (name, metric(own, name), metric(built_in, name)))
    t.check(metric(own, "stall_ns_max") > 40000000, "the pause is no stall: %r" % metric(own, "stall_ns_max"))
    t.compare("k", "r.json")


# `--twice` on programs and plug-ins with hidden state: the first record that differs is named, both versions; exit 3, it is theirs
@test("ask")
def hidden_state(t):
    t.write("s.yaml", scenario(faults=""))
    python(t, "pid.py", """import os
for line in sys.stdin:
    print("key %d" % os.getpid(), flush=True)
""")
    genfile(t, "pid.gen.yaml", "python3, pid.py")
    generators = ["pid.gen.yaml"]
    if shutil.which("cc"):
        with open(KEYGEN + "/counter.c", encoding="utf-8") as stream:
            source = stream.read()
        t.need(source.count("before + 1") == 1, "counter.c has changed")
        plugin(t, "static", source.replace("before + 1", "before + (uint64_t)(calls++ < 700 ? 1 : 9)").replace(
            "struct shared {", "static int calls;\nstruct shared {") + '\n#include "plugin.h"\nKS_PLUGIN(counter);\n')
        generators.append("./static.so")
    for generator in generators:
        t.run("run", "s.yaml", "-g", generator, code=(0, 1), env=tools())
        result = t.run("run", "s.yaml", "-g", generator, "--twice", "--json", "r.json", code=3, env=tools())
        said = result.out + result.err
        t.check(re.search(r"two runs differ: record \d+ is first", said) is not None, "%s: %s" % (generator, tail(result)))
        reason = t.json("r.json")["runs"][0]["reason"]
        lines = reason.split("\n")
        t.check(len(lines) == 4 and lines[1] != lines[3] and "call " in lines[1] and "key " in lines[3], "reason: %r" % reason)


# "each environment call is a switch point": a step between read and use, threads that take turns, sleep and random bytes
@test("ask")
def ask_requests(t):
    python(t, "all.py", """import os
def ask(line):
    print(line, flush=True)
    return sys.stdin.readline().strip()
n = 0
for line in sys.stdin:
    assert line == "next\\n", line
    n += 1
    wall, mono = int(ask("clock wall")), int(ask("clock mono"))
    assert ask("sleep 500000") == "ok"
    slept = int(ask("clock mono")) - mono
    assert 500000 <= slept < 600000, slept
    assert int(ask("clock tai")) // 10**9 - wall // 10**9 in (37, 38)
    assert int(ask("clock boot")) > 0 and int(ask("clock raw")) > 0
    chance = ask("random 8")
    assert len(chance) == 16 and int(chance, 16) >= 0
    assert len(ask("random 64")) == 128
    if n % 100 == 0:
        print("refuse every hundredth, by rule", flush=True)
    else:
        print("key %s-%s-%d" % (sys.argv[1], chance, n), flush=True)
""")
    t.write("s.yaml", scenario(faults="", workload="{rate: 200/s}", fleet="{nodes: 2, threads: 2}", duration="3s"))
    ask = 'ask:python3 all.py "{node} {node_id} {seed}"'
    for name in ("a", "b"):
        t.run("run", "s.yaml", "-g", ask, "--json", name + ".json", "--keys", name + ".tsv", code=0, env=tools())
    t.check(t.read("a.tsv") == t.read("b.tsv"), "two runs differ")
    run = t.json("a.json")["runs"][0]
    t.check(run["calls"] == 1200 and metric(run, "refusals") == 12, "%r calls, %r refusals" % (run["calls"], metric(run, "refusals")))
    t.check(metric(run, "stall_ns_max") >= 500000, "sleep costs no time")
    rows = recompute.read_keys(t.path("a.tsv"))[1]
    t.check({r.key.split(b"-")[0] for r in rows if r.key} == {b"n1 1 1", b"n2 2 1"}, "placeholders: %r" % rows[0].key)


# "A child that hangs, dies, floods, answers garbage: exit 3 with a clear reason and its stderr tail"
FAILURES = [
    ("hangs", "import time\nsys.stderr.write('waiting for a database\\n')\nsys.stderr.flush()\nselect.select([], [], [], 100)\n",
     ["gave no answer in 600ms", "flush", "waiting for a database"]),
    ("unflushed", "for _ in sys.stdin: print('key 1')\n", ["gave no answer"]),
    ("dies", "sys.stdin.readline()\nsys.exit('no database')\n", ["exited with status 1", "no database"]),
    ("killed", "import os\nsys.stdin.readline()\nos.kill(os.getpid(), 9)\n", ["was killed by signal 9"]),
    ("gone", "sys.exit(0)\n", ["exited with status 0"]),
    ("garbage", "sys.stdin.readline()\nprint('kye 1', flush=True)\nsys.stdin.readline()\n", ["wrote 'kye 1'", "expected key"]),
    ("bytes", "sys.stdin.readline()\nsys.stdout.buffer.write(b'\\x00\\xff\\x1b[2J\\n')\nsys.stdout.flush()\nsys.stdin.readline()\n",
     ["wrote '???[2J'"]),
    ("no_clock", "sys.stdin.readline()\nprint('clock wal', flush=True)\nsys.stdin.readline()\n", ["expected clock wall, mono"]),
    ("long", "sys.stdin.readline()\nprint('key ' + 'x' * 5000, flush=True)\nsys.stdin.readline()\n", ["too long"]),
    ("long_key", "sys.stdin.readline()\nprint('key ' + 'x' * 257, flush=True)\nsys.stdin.readline()\n", ["1..256 bytes"]),
    ("empty_key", "sys.stdin.readline()\nprint('key ', flush=True)\nsys.stdin.readline()\n", ["1..256 bytes"]),
    ("floods", "sys.stdin.readline()\nwhile True: print('key 1' * 1, flush=True)\n", ["after its answer"]),
    ("floods_stderr", "sys.stdin.readline()\nwhile True: sys.stderr.write('x' * 1000 + '\\n')\n", ["gave no answer"]),
    ("asks_forever", "sys.stdin.readline()\nwhile True:\n    print('random 1', flush=True)\n    sys.stdin.readline()\n",
     ["made 100000 requests in one call"]),
    ("deaf", "sys.stdin.readline()\nwhile True: print('clock wall', flush=True)\n", ["does not read what it is told"]),
    ("closes", "import os, time\nsys.stdin.readline()\nos.close(1)\nselect.select([], [], [], 100)\n", ["closed its output"]),
    ("stubborn", "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nsys.stdin.readline()\nselect.select([], [], [], 100)\n",
     ["gave no answer"]),
    ("forks", "import os, time\nif os.fork() == 0: select.select([], [], [], 100)\nsys.stdin.readline()\nsys.exit(1)\n", ["exited with status 1"]),
    ("hides", "import os\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        for fd in (0, 1, 2): os.close(fd)\n"
              "        select.select([], [], [], 100)\n    os._exit(0)\nsys.stdin.readline()\nsys.exit(1)\n", ["exited with status 1"]),
]


def failure(name, body, says):
    def run(t):
        python(t, "bad.py", body)
        genfile(t, "bad.gen.yaml", "python3, bad.py", "timeout: 200ms\n")
        t.write("s.yaml", scenario(fleet="2"))
        result = t.run("run", "s.yaml", "-g", "bad.gen.yaml", "--json", "r.json", code=3, timeout=40,
                       env=dict(tools(), PYTHONUNBUFFERED=None))
        reason = t.json("r.json")["runs"][0].get("reason", "")
        for word in ["'bad.gen.yaml' of node 'n"] + says:
            t.check(word in reason, "%r is not in the reason %r" % (word, reason))
        t.check("bad.gen.yaml" in result.out + result.err, tail(result))
    run.__name__ = "ask_" + name
    return run


for failure_case in FAILURES:
    test("ask_fails")(failure(*failure_case))


@test("ask_fails")
def ask_cannot_run(t):
    t.write("s.yaml", scenario())
    result = t.run("run", "s.yaml", "-g", "ask:./missing-program", code=(2, 3))
    t.check("cannot run './missing-program'" in result.out + result.err, tail(result))
    t.refused("run", "s.yaml", "-g", "ask:", says="names no command", allowed=["s.yaml", "r.json", ".keyskew"])
    t.refused("run", "s.yaml", "-g", "ask:python3 '", says="quote", code=(2), allowed=["s.yaml", "r.json", ".keyskew"])


# --- generator files ----------------------------------------------------------------------------------------------------

# "errors with file:line:col and nearest names, lint of them"
@test("genfile")
def genfile_errors(t):
    cases = [
        ("command: [x]\ncompair: numeric\n", ["2:1", "unknown key 'compair'", "did you mean 'compare'"]),
        ("command: [x]\ncompare: numerical\n", ["2:10", "did you mean 'numeric'"]),
        ("command: [x]\nspeaks: aks\n", ["2:9", "did you mean 'ask'"]),
        ("speaks: ask\n", ["1:1", "without 'command'"]),
        ("command: x\n", ["1:10", "a list of words"]),
        ("command: []\n", ["1:10", "'command' is empty"]),
        ("command: [x]\nclaims: [uniq@fleet]\n", ["2:10", "did you mean 'unique'"]),
        ("command: [x]\nclaims: [unique@fleet, unique@fleet]\n", ["2:24", "stands twice"]),
        ("command: [x]\nlayout: {unit: 1ms}\n", ["2:9", "without 'bits'"]),
        ("command: [x]\nlayout: {bits: [time]}\n", ["2:17", "NAME BITS"]),
        ("command: [x]\nlayout: {bits: [time 0]}\n", ["2:17", "1..64"]),
        ("command: [x]\nlayout: {bits: [time 41, time 1]}\n", ["2:26", "two fields"]),
        ("command: [x]\nlayout: {bits: [a 64, b 64, c 1]}\n", ["2:16", "129 bits"]),
        ("command: [x]\nlayout: {bits: [time 41], unit: 1}\n", ["2:33", "unit"]),
        ("command: [x]\nlayout: {bits: [time 41], epoch: yesterday}\n", ["2:34", "1288834974657ms"]),
        ("command: [x]\ntimeout: 1\n", ["2:10", "timeout"]),
        ("[1, 2]\n", ["1:1", "a mapping"]),
        ("", ["x.gen.yaml"]),
        ("command: [x\n", ["x.gen.yaml:"]),
    ]
    for text, says in cases:
        t.write("x.gen.yaml", text)
        t.refused("lint", "x.gen.yaml", says=["x.gen.yaml"] + says)
        t.refused("run", "steady", "-g", "x.gen.yaml", says=["x.gen.yaml"] + says)
    t.refused("run", "steady", "-g", "none.gen.yaml", says="none.gen.yaml")
    t.write("x.gen.yaml", "command: [x]\n")
    t.run("lint", "x.gen.yaml", code=0)


# "compare: numeric|bytes|text"
@test("genfile")
def genfile_compare(t):
    python(t, "k.py", "keys = sys.argv[1:]\nfor n, _ in enumerate(sys.stdin):\n    print('key', keys[n % len(keys)], flush=True)\n")
    t.write("s.yaml", scenario(expect="  other: {unique@fleet: broken}\n", faults="", workload="{rate: 3/s}", duration="1s"))
    for compare, keys, duplicates, descents in (("numeric", "9, '010', '10'", 1, 0), ("bytes", "9, '010', '10'", 0, 1),
                                                ("text", "aB, AC, Ab", 1, 1), ("bytes", "aB, AC, Ab", 0, 1)):
        genfile(t, "k.gen.yaml", "python3, k.py, " + keys, "compare: %s\n" % compare)
        t.run("run", "s.yaml", "-g", "k.gen.yaml", "--json", "r.json", "--keys", "k.tsv", code=(0, 1), env=tools())
        run = t.json("r.json")["runs"][0]
        t.check((metric(run, "duplicates", "fleet"), metric(run, "descents", "fleet")) == (duplicates, descents),
                "%s %s: %r duplicates, %r descents" % (compare, keys, metric(run, "duplicates", "fleet"), metric(run, "descents", "fleet")))
        t.compare("k.tsv", "r.json")
    genfile(t, "k.gen.yaml", "python3, k.py, 1, x", "compare: numeric\n")
    result = t.run("run", "s.yaml", "-g", "k.gen.yaml", code=3, env=tools())
    t.check("no decimal number" in result.out + result.err, tail(result))


# "layout gives embedded times and decoded fields to checks, explain"; the program runs in the folder of its file
@test("genfile")
def genfile_fields(t):
    t.write("sub/ms.py", "import sys\n" + MILLIS)
    t.write("sub/ms.gen.yaml", "command: [python3, ms.py]\nlayout: {bits: [high 32, time 32], unit: 1ms}\nclaims: [unique@node]\n")
    t.write("s.yaml", scenario(expect="  other: {unique@node: broken}\n"))
    t.run("run", "s.yaml", "-g", "sub/ms.gen.yaml", "--json", "r.json", code=0, env=tools())
    claim = t.json("r.json")["runs"][0]["claims"][0]
    row = claim["witness"]["neighbours"][0]
    t.check(row["fields"]["high"] << 32 | row["fields"]["time"] == int(row["key"]), "fields of %r: %r" % (row["key"], row.get("fields")))
    result = t.run("explain", "--first", code=0)
    t.check("high %d" % row["fields"]["high"] in result.out, "explain tells no fields: %s" % tail(result))


# "the injection proof for foreign keys (bare ms, decimal snowflake)": exec: with a layout
@test("exec")
def exec_layout(t):
    need_faketime()
    python(t, "free.py", """import threading, time
while True:
    ms = time.time_ns() // 1000000
    print(ms if sys.argv[1] == "ms" else ms - 1288834974657 << 22, flush=True)
    threading.Event().wait(0.002)
""")
    t.write("s.yaml", SHORT)
    for kind, layout in (("ms", "layout: {bits: [time 64]}\n"), ("flake", LAYOUT)):
        genfile(t, "free.gen.yaml", "/usr/bin/python3, free.py, " + kind, "speaks: lines\n" + layout + "claims: [increasing@node]\n")
        t.run("run", "s.yaml", "-g", "free.gen.yaml", "--json", "r.json", code=(0, 1), timeout=40)
        run = t.json("r.json")["runs"][0]
        t.check(run["world"] == "faketime" and run["injection"], "%s: world %r, injection %r" % (kind, run["world"], run.get("injection")))
        shown(t, run["injection"][0], kind)


OWN = "import time\nfor _ in sys.stdin:\n    print('key', time.time_ns() // 1000000, flush=True)\n"


# "in real worlds the program may simply read its own clock"; "Stall, ahead, behind and order are measured"
@test("real")
def real_ask(t):
    need_faketime()
    python(t, "own.py", OWN)
    python(t, "asks.py", MILLIS)
    more = "layout: {bits: [time 64]}\nclaims: [increasing@node]\n"
    t.write("s.yaml", scenario(expect="  other: {increasing@node: broken}\n", fleet="2", workload="{rate: 200/s}"))
    for name in ("own", "asks"):
        genfile(t, name + ".gen.yaml", "/usr/bin/python3, %s.py" % name, more)
        t.run("run", "s.yaml", "-w", "faketime", "-g", name + ".gen.yaml", "--json", "r.json", "--keys", "k.tsv", code=0, timeout=40)
        run = t.json("r.json")["runs"][0]
        shown(t, run["injection"][0], name)
        rows = [line.split("\t") for line in t.read("k.tsv").decode().splitlines() if not line.startswith("#")]
        due, returned = rows[0].index("due_ns"), rows[0].index("return_ns")
        # a call that a busy machine keeps from beginning before the end is not made: then one was still under way
        t.check(run["calls"] == 1600 or run["calls"] < 1600 and max(int(row[returned]) for row in rows[1:]) >= 4000000000,
                "%s: %r calls" % (name, run["calls"]))
        slow = sum(int(row[returned]) - int(row[due]) > 1000000 for row in rows[1:])  # and so possibly in another ms
        t.check(20 - 2 * slow <= metric(run, "duplicates", "node") <= 60 + 2 * slow,
                "%s: %r duplicates, %r calls were slow" % (name, metric(run, "duplicates", "node"), slow))
        t.check(metric(run, "behind_ns_max") > 100000000, "%s: behind %r" % (name, metric(run, "behind_ns_max")))
        t.check(metric(run, "stall_ns_max") is not None, "no stalls")
        t.compare("k.tsv", "r.json")


# a program that reads its own clock in sim, or one that libfaketime does not reach, is never judged
@test("real")
def real_unproven(t):
    python(t, "own.py", OWN)
    genfile(t, "own.gen.yaml", "python3, own.py", "layout: {bits: [time 64]}\n")
    t.write("s.yaml", scenario(workload="{rate: 200/s}"))
    result = t.run("run", "s.yaml", "-g", "own.gen.yaml", code=3, env=tools())
    t.check("asked for no clock" in result.out + result.err, tail(result))
    python(t, "count.py", "for n, _ in enumerate(sys.stdin):\n    print('key', n, flush=True)\n")
    genfile(t, "count.gen.yaml", "python3, count.py")
    t.run("run", "s.yaml", "-g", "count.gen.yaml", "--json", "r.json", code=0, env=tools())
    claim = t.json("r.json")["runs"][0]["claims"][0]
    t.check(claim["verdict"] == "untested" and "asked for no clock" in claim["reason"], "%r" % claim)
    need_faketime()
    result = t.run("run", "s.yaml", "-w", "faketime", "-g", "count.gen.yaml", code=3, timeout=40, env=tools())
    t.check("carry no time" in result.out + result.err, tail(result))
    if not shutil.which("cc"):
        raise Skip("cc is not installed")
    t.write("static.c", '''#include <stdio.h>
#include <time.h>
int main(void) { char line[64]; struct timespec t; while (fgets(line, 64, stdin)) {
clock_gettime(CLOCK_REALTIME, &t); printf("key %ld\\n", (long)t.tv_sec * 1000 + t.tv_nsec / 1000000); fflush(stdout); } }
''')
    genfile(t, "static.gen.yaml", "./static", "build: [cc, -static, -o, static, static.c]\nlayout: {bits: [time 64]}\n")
    result = t.run("run", "s.yaml", "-w", "faketime", "-g", "static.gen.yaml", code=3, timeout=40)
    t.check("does not see libfaketime" in result.out + result.err, tail(result))


# faults of threads and processes reach a program that is asked, too
@test("real")
def real_stops(t):
    need_faketime()
    python(t, "asks.py", MILLIS)
    genfile(t, "asks.gen.yaml", "/usr/bin/python3, asks.py", "layout: {bits: [time 64]}\nclaims: [increasing@node]\n")
    t.write("s.yaml", scenario(workload="{rate: 200/s}", duration="5s",
                               faults="  - {name: stop, at: 1s, node: n1, stop-world: 300ms}\n"
                                      "  - {name: slow, at: 2s, node: n1, slew: -50000ppm, for: 1s}\n"))
    t.run("run", "s.yaml", "-w", "faketime", "-g", "asks.gen.yaml", "--json", "r.json", code=(0, 1), timeout=40)
    run = t.json("r.json")["runs"][0]
    t.check(metric(run, "stall_ns_max") > 250000000, "the stop is no stall: %r" % metric(run, "stall_ns_max"))
    t.check({i["fault"] for i in run["injection"]} == {"stop", "slow"}, "%r" % run["injection"])


COUNTS = """import os, signal, select, sys, time
state = "state-" + sys.argv[1]
n = int(open(state).read()) if os.path.exists(state) else 0
def end(number, frame):
    with open(state, "w") as f:
        f.write(str(n))
    os._exit(0)
signal.signal(signal.SIGTERM, end)
while True:
    n += 1
    print(n, flush=True)
    select.select([], [], [], 0.005)
"""


# "restart (state lost or kept)" of programs that run freely: killed and started again, or asked to end and started again
@test("real")
def real_restarts(t):
    need_faketime()
    python(t, "counts.py", COUNTS, head="")
    for state, verdict in (("lost", "broken"), ("kept", "kept")):
        t.write("s.yaml", scenario(fleet="2", duration="3s", expect="  other: {unique@node: %s, increasing@process: kept}\n" % verdict,
                                   faults="  - {name: again, at: 1s, node: n1, restart: process, state: %s, for: 200ms}\n" % state))
        genfile(t, "counts.gen.yaml", '/usr/bin/python3, counts.py, "{node}"', "speaks: lines\ncompare: numeric\nstate: kept\n"
                "claims: [unique@node, increasing@process]\n")
        t.run("run", "s.yaml", "-g", "counts.gen.yaml", "--json", "r.json", "--keys", "k.tsv", code=0, timeout=60)
        row = t.json("r.json")["runs"][0]["injection"][0]
        away = recompute.as_int(row["observed_ns"])
        t.check(row["fault"] == "again" and away >= 190000000, "%s: away for %r" % (state, away))
        rows = [line.split("\t") for line in t.read("k.tsv").decode().splitlines() if not line.startswith("#")]
        node, life = rows[0].index("node"), rows[0].index("incarnation")
        lives = {(row[node], row[life]) for row in rows[1:]}
        t.check(lives == {("0", "0"), ("0", "1"), ("1", "0")}, "lives: %r" % lives)
        for node in ("n1", "n2"):
            if os.path.exists(t.path("state-" + node)):
                os.unlink(t.path("state-" + node))
    genfile(t, "counts.gen.yaml", '/usr/bin/python3, counts.py, "{node}"', "speaks: lines\n")
    result = t.run("run", "s.yaml", "-g", "counts.gen.yaml", timeout=60)
    t.check("(state: kept)" in result.out and "untested" in result.out, tail(result))


# "leaves nothing behind": dying, hanging and hiding programs in a real world
@test("real")
def real_fails(t):
    need_faketime()
    t.write("s.yaml", scenario(workload="{rate: 200/s}"))
    for name in ("hangs", "dies", "floods", "stubborn", "forks", "hides", "garbage"):
        body, says = [(b, s) for n, b, s in FAILURES if n == name][0]
        python(t, "bad.py", body)
        genfile(t, "bad.gen.yaml", "/usr/bin/python3, bad.py", "timeout: 200ms\n")
        result = t.run("run", "s.yaml", "-w", "faketime", "-g", "bad.gen.yaml", "--json", "r.json", code=3, timeout=40)
        reason = t.json("r.json")["runs"][0].get("reason", "")
        t.check(any(word in reason for word in says), "%s: %r" % (name, reason))


# --- guests -------------------------------------------------------------------------------------------------------------

def need_guests(env):
    if os.environ.get("KEYSKEW_TEST_LONG") != "1":
        raise Skip("KEYSKEW_TEST_LONG=1 boots guests")
    env["HOME"] = os.environ.get("HOME", "/")  # the guest image is cached there


def in_guest(t, scenario_file, generator, env, code=0):
    """a machine that is busy with other things is late, says so, and is asked again"""
    for _ in range(3):
        result = t.run("run", scenario_file, "-w", "qemu", "-g", generator, "--json", "r.json", code=(0, 1, 3), timeout=180, env=env)
        if result.code == code:
            break
    t.check(result.code == code, "%s: exit %d, expected %d: %s" % (generator, result.code, code, tail(result)))
    return t.json("r.json")["runs"][0]


# "a static Go program in a guest sees the step that libfaketime cannot show it"
@test("guest")
def guest_static_go(t):
    env = tools()
    need_guests(env)
    if not shutil.which("go"):
        raise Skip("go is not installed")
    run = in_guest(t, "static-go", "go-wall.gen.yaml", env)
    t.check(metric(run, "descents", "process") == 1, "%r descents" % metric(run, "descents", "process"))
    observed = recompute.as_int(run["injection"][0]["observed_ns"])
    t.check(abs(observed + 500000000) < 2000000, "observed %r" % observed)
    t.check(metric(run, "duplicates", "process") > 0, "no ms came twice")


# "exec: and ask: subjects under -w qemu": with libraries, with an interpreter; what cannot be carried says why
@test("guest")
def guest_programs(t):
    env = tools()
    need_guests(env)
    t.write("s.yaml", scenario(duration="3s", workload="{rate: 200/s}", faults="  - {name: back, at: 1500ms, node: n1, step: -120ms}\n"))
    python(t, "asks.py", "import uuid\n" + MILLIS)
    genfile(t, "asks.gen.yaml", "/usr/bin/python3, asks.py", "layout: {bits: [time 64]}\nclaims: [increasing@node]\n")
    run = in_guest(t, "s.yaml", "asks.gen.yaml", env, code=1)
    t.check(metric(run, "behind_ns_max") > 100000000, "the program does not see the step: behind %r" % metric(run, "behind_ns_max"))
    python(t, "dies.py", "next(sys.stdin)\nsys.exit('no more ids')\n")
    genfile(t, "dies.gen.yaml", "/usr/bin/python3, dies.py")
    reason = in_guest(t, "s.yaml", "dies.gen.yaml", env, code=3).get("reason", "")
    t.check("no more ids" in reason, reason)
    python(t, "refuses.py", "for _ in sys.stdin:\n    print('refuse none left', flush=True)\n")
    genfile(t, "refuses.gen.yaml", "/usr/bin/python3, refuses.py")
    run = in_guest(t, "s.yaml", "refuses.gen.yaml", env)
    t.check(metric(run, "refusals") > 500, "%r refusals" % metric(run, "refusals"))


# "capture of clock jumps": the step that the scenario makes is seen in the guest's kernel, by whom and by how much
@test("guest")
def guest_capture(t):
    env = tools()
    need_guests(env)
    t.write("s.yaml", scenario(duration="3s", workload="{rate: 200/s}", more="capture: {unusual: 20ms, jump: 100ms}\n",
                               faults="  - {name: back, at: 1s, node: n1, step: -120ms}\n  - {name: small, at: 2s, node: n1, step: 15ms}\n"))
    capture = in_guest(t, "s.yaml", "snowflake", env)["capture"]
    if "untested" in capture:
        raise Skip(capture["untested"])
    t.check(capture["missing"] == [], "Debian's kernels 6.1 and 6.12 have all that is watched, this one has no %s" % capture["missing"])
    t.check(capture["jumps"] == 1 and capture["unusual"] == 0, "%r" % capture)
    jump = [e for e in capture["events"] if e.get("verdict") == "jump"]
    t.check({e["layer"] for e in jump} == {"call", "kernel"} and {e["delta_ns"] for e in jump} == {-120000000}, "%r" % jump)
    t.check(all(abs(recompute.as_int(e["at_ns"]) - 10**9) < 10**8 for e in jump), "%r" % jump)
    small = [e for e in capture["events"] if e["delta_ns"] == 15000000]
    t.check(small and not any("verdict" in e for e in small), "%r" % small)


# "a real chronyd stepping the guest after its server moved"
@test("guest")
def guest_chrony(t):
    env = tools()
    need_guests(env)
    run = in_guest(t, "server-moves", "snowflake:unchecked", env)
    proof = run["injection"][0]
    t.check(abs(recompute.as_int(proof["observed_ns"]) + 500000000) < 40000000, "%r" % proof)
    steps = [e["offset_ns"] for e in run.get("keepers", {}).get("notable", [])]
    if steps:    # the image can watch its kernel
        t.check(-540000000 < sum(steps) < -400000000 and min(steps) < -50000000, "chronyd steps %r" % steps)


# --- the README ---------------------------------------------------------------------------------------------------------

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")


def readme_lines():
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as stream:
        section = stream.read().split("## Your own program")[1].split("\n## ")[0]
    return [line for block in re.findall(r"```sh\n(.*?)```", section, re.S) for line in block.splitlines()]


# "README shows a user's own program judged in one line, in every language": each line as it stands there
def readme(number, line):
    def run(t):
        for word in ("python3", "node", "java", "go", "cc", "rustc"):
            if re.search(r"(?:^|:)%s " % word, line) and not shutil.which(word):
                raise Skip("%s is not installed" % word)
        if "redis" in line:
            need_faketime()
            if not shutil.which("redis-server"):
                raise Skip("redis-server is not installed")
        os.symlink(os.path.join(ROOT, "harness"), t.path("harness"))
        env = t.environment(dict(tools(), PATH=os.path.dirname(t.program) + ":" + os.environ["PATH"]))
        done = subprocess.run(["sh", "-c", line], cwd=t.work, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=150 * cli_test.SCALE)
        t.check(done.returncode == 0 and re.search(r"unique@(fleet|process) +kept", done.stdout),
                "%s: exit %d\n%s\n%s" % (line, done.returncode, done.stdout[-600:], done.stderr[-300:]))
        os.unlink(t.path("harness"))
    run.__name__ = "readme_%d" % number
    return run


for line_number, readme_line in enumerate(readme_lines(), 1):
    test("readme")(readme(line_number, readme_line))


# --- plug-ins -----------------------------------------------------------------------------------------------------------

KEYGEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../sim/keygen")


def plugin(t, name, source, code=0):
    if not shutil.which("cc"):
        raise Skip("cc is not installed")
    t.write(name + ".c", source)
    done = subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-DKS_ENV_TABLE", "-D_GNU_SOURCE", "-I", KEYGEN, "-I", KEYGEN + "/../core",
                           "-o", t.path(name + ".so"), t.path(name + ".c")], stderr=subprocess.PIPE, text=True)
    t.need((done.returncode == 0) == (code == 0), "cc: %s" % done.stderr[-500:])


# "-g ./mine.so": the source of a built-in as a plug-in does the same, call by call; in real processes too
@test("plugin")
def plugin_as_built_in(t):
    plugin(t, "flake", '#include "%s/snowflake.c"\n#include "plugin.h"\nKS_PLUGIN(snowflake);\n' % KEYGEN)
    t.write("s.yaml", scenario(fleet="{nodes: 2, threads: 3}", faults="  - {name: back, at: 2s, node: n1, step: -120ms}\n"
                                                                      "  - {at: 3s, node: n2, thread: 1, pause: 20ms}\n"))
    for name, generator in (("a", "./flake.so:unchecked"), ("b", "snowflake:unchecked")):
        t.run("run", "s.yaml", "-g", generator, "--json", name + ".json", "--keys", name + ".tsv", code=(0, 1))
    rows = [[line for line in t.read(n).splitlines() if not line.startswith(b"# generator")] for n in ("a.tsv", "b.tsv")]
    t.check(rows[0] == rows[1], "the plug-in's calls differ")
    t.check(metric(t.json("a.json")["runs"][0], "duplicates", "fleet") > 50, "nothing happened")
    t.run("run", "s.yaml", "-g", "flake.so", code=0)
    need_faketime()
    t.write("s.yaml", scenario(workload="{rate: 200/s}"))
    t.run("run", "s.yaml", "-w", "faketime", "-g", "./flake.so:unchecked", "--json", "r.json", code=(0, 1), timeout=40)
    run = t.json("r.json")["runs"][0]
    t.check(run["injection"] and metric(run, "duplicates", "node") >= 20, "faketime: %r duplicates" % metric(run, "duplicates", "node"))


# versioned; what is no plug-in is refused
@test("plugin")
def plugin_refused(t):
    t.write("s.yaml", scenario())
    files = ["s.yaml"]
    flake = '#include "%s/snowflake.c"\n#include "plugin.h"\n' % KEYGEN
    plugin(t, "old", flake + "extern const struct ks_plugin ks_plugin_v1; const struct ks_env_table *ks_env_calls;\n"
           "const struct ks_plugin ks_plugin_v1 = {9, sizeof(struct ks_gen), 0, &KS_GEN(snowflake), &ks_env_calls};\n")
    plugin(t, "empty", flake + "static const struct ks_gen none = {.name = \"none\"};\nextern const struct ks_plugin ks_plugin_v1; const struct "
           "ks_env_table *ks_env_calls;\nconst struct ks_plugin ks_plugin_v1 = {KS_PLUGIN_VERSION, sizeof(struct ks_gen), "
           "sizeof(struct ks_env_table), &none, &ks_env_calls};\n")
    plugin(t, "plain", "int x;\n")
    t.write("text.so", "not an object")
    for name, says in (("old", "another version"), ("empty", "lacks one of"), ("plain", "no plug-in of keyskew"), ("text", "cannot load plug-in"),
                       ("none", "cannot load plug-in")):
        t.refused("run", "s.yaml", "-g", "./%s.so" % name, says=says)
    plugin(t, "flake", flake + "KS_PLUGIN(snowflake);\n")
    t.refused("run", "s.yaml", "-g", "./flake.so:node_bit=3", says="did you mean 'node_bits'")


# --- adapters: programs that are there already --------------------------------------------------------------------------

CACHE = os.environ.get("KEYSKEW_CACHE") or os.path.expanduser("~/.cache/keyskew")
ADAPTERS = ["libuuid-v1", "perl-data-uuid", "python-uuid1", "node-uuid-v1", "node-uuid-v6", "node-uuid-v7", "node-ulid",
            "node-snowflake", "go-wall", "go-google-uuid", "redis-streams", "postgres-uuid", "postgres-clock"]
LATER = ("perl-data-uuid", "go-google-uuid", "postgres-clock", "node-uuid-v1", "node-uuid-v6", "node-ulid")


# "list subjects says what is installed and how to install the rest"; "npm packages ... never at build"
def adapter(name):
    def run(t):
        need_faketime()
        if name in LATER and os.environ.get("KEYSKEW_TEST_LONG") != "1":
            raise Skip("KEYSKEW_TEST_LONG=1 tries it: another of its kind is tried in any case")
        env = dict(tools(), KEYSKEW_CACHE=CACHE)
        subject = json.loads(t.run("list", "subjects", name + ".gen.yaml", "--json", code=0, env=env).out)[0]
        if subject["state"].startswith("not installed"):
            t.check(subject["install"].startswith("apt-get install "), "no line installs it: %r" % subject)
            raise Skip("%s; %s" % (subject["state"], subject["install"]))
        if name.startswith("node-") and subject["state"] != "ready":
            raise Skip("its npm package is not in the cache; keyskew run steady -w faketime -g %s.gen.yaml puts it there" % name)
        slow = name.startswith("postgres-")
        t.write("s.yaml", scenario(fleet="1" if slow else "2", duration="4s" if slow else "3s",
                                   faults="  - {name: back, at: %s, node: n1, step: -120ms}\n" % ("2s" if slow else "1500ms")))
        static = name.startswith("go-")
        # three tries: programs that have just been made, or that start slowly, on a busy machine
        for _ in (1, 2, 3):
            result = t.run("run", "s.yaml", "-g", name + ".gen.yaml", "--json", "r.json", code=3 if static else (0, 1, 3), timeout=90, env=env)
            run = t.json("r.json")["runs"][0]
            if result.code != 3 or static:
                break
        if result.code == 3 and not static:
            busy = re.search("too irregularly|too few keys|too busy", run.get("reason", ""))
            t.need(busy, "it is not judged: %r" % run.get("reason"))
            raise Skip("this machine is too busy: " + run["reason"])
        if static:
            t.check("does not see libfaketime" in run["reason"], "%r" % run.get("reason"))
            return
        shown(t, run["injection"][0], name)
        t.check(run["keys"] >= 20, "%r keys" % run["keys"])
        # snowflake-id goes on from the clock that it reads: a step back makes it repeat itself
        duplicates = metric(run, "duplicates", "node")
        t.check((duplicates > 0) == (name == "node-snowflake") or name == "postgres-clock", "%r duplicates" % duplicates)
    run.__name__ = "adapter_" + name.replace("-", "_")
    return run


for adapter_name in ADAPTERS:
    test("adapter")(adapter(adapter_name))


# each adapter names its packages
@test("list")
def list_subjects(t):
    subjects = json.loads(t.run("list", "subjects", "--json", code=0).out)
    t.check([s["name"] for s in subjects] == sorted(a + ".gen.yaml" for a in ADAPTERS), "%r" % [s["name"] for s in subjects])
    empty = t.path("bin")
    os.mkdir(empty)
    for subject in json.loads(t.run("list", "subjects", "--json", code=0, env={"PATH": empty}).out):
        t.check(subject["state"].startswith("not installed: ") and subject["install"].startswith("apt-get install "), "%r" % subject)
    result = t.run("run", "steady", "-g", "node-ulid.gen.yaml", code=3, env={"PATH": empty})
    t.check("apt-get install nodejs npm" in result.err, tail(result))
    genfile(t, "x.gen.yaml", "sh", "needs: [/no/such/*.file]\ninstall: make one\n")
    result = t.run("run", "steady", "-g", "x.gen.yaml", code=3)
    t.check("'/no/such/*.file' is not installed: make one" in result.err, tail(result))


# "A restart of the simulated process restarts the child"; what copies memory is untested with its reason
@test("ask")
def ask_restart(t):
    python(t, "count.py", "for n, _ in enumerate(sys.stdin):\n    print('clock wall', flush=True)\n    sys.stdin.readline()\n"
                          "    print('key', n, flush=True)\n")
    genfile(t, "count.gen.yaml", "python3, count.py", "compare: numeric\nclaims: [unique@node, increasing@process]\n")
    t.write("s.yaml", scenario(expect="  other: {unique@node: broken, increasing@process: kept}\n",
                               faults="  - {name: again, at: 2s, node: n1, restart: process, state: lost}\n"))
    result = t.run("run", "s.yaml", "-g", "count.gen.yaml,counter", "--json", "r.json", code=(0, 1, 2), env=tools())
    if "not carried yet" in result.err:
        raise Skip("scenarios do not carry restarts yet")
    document = t.json("r.json")
    own, built_in = run_of(document, "count.gen.yaml"), run_of(document, "counter")
    t.check(metric(own, "duplicates", "node") == metric(built_in, "duplicates", "node") > 1000,
            "duplicates: %r, counter has %r" % (metric(own, "duplicates", "node"), metric(built_in, "duplicates", "node")))
    t.write("s.yaml", scenario(faults="  - {name: again, at: 2s, node: n1, restart: process, state: kept}\n"))
    result = t.run("run", "s.yaml", "-g", "count.gen.yaml", code=(0, 3), env=tools())  # nothing was judged
    t.check("outside sim" in result.out and "1 run untested" in result.out.replace("runs", "run"), tail(result))


# a build that fails is told, and nothing ran
@test("genfile")
def genfile_build(t):
    genfile(t, "b.gen.yaml", "./b", "build: [sh, -c, 'echo no compiler >&2; exit 3']\n")
    t.refused("run", "steady", "-g", "b.gen.yaml", says=["b.gen.yaml: its build exited with status 3", "no compiler"])
    genfile(t, "b.gen.yaml", "./b", "build: [./none]\n")
    t.refused("run", "steady", "-g", "b.gen.yaml", says=["cannot run './none'"])


if __name__ == "__main__":
    sys.exit(cli_test.main())
