#!/usr/bin/env python3
"""The same bytes from every compiler: gcc and clang, with and without optimisation, with any -j.

  determinism_test.py PROGRAM SOURCE FOLDER [SUITE]      FOLDER keeps the other builds from one run to the next

Builds keyskew in other ways and runs the part of SUITE (nightly) in sim with each; those without optimisation are slow and take a
share; without KEYSKEW_TEST_LONG=1 the
only other build is clang's without optimisation, and it takes a share. Every key file and every run of result.json must be the same bytes as PROGRAM's. A compiler that is not installed is named and left out; without a
second one the test is skipped (77).
"""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

LONG = os.environ.get("KEYSKEW_TEST_LONG", "0") != "0"
BUILDS = (("gcc -O0", "gcc", "-O0", "1/4"), ("clang -O0", "clang", "-O0", "3/4"), ("clang -O2", "clang", "-O2", "1/1")) if LONG else (
    ("clang -O0", "clang", "-O0", "3/16"),)


def build(source, folder, compiler, flags):
    if not os.path.exists(os.path.join(folder, "build.ninja")):
        subprocess.run(["cmake", "-S", source, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=None", "-DKS_GUEST=OFF",
                        "-DCMAKE_C_COMPILER=" + compiler, "-DCMAKE_C_FLAGS=" + flags], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", folder, "--target", "keyskew"], check=True, stdout=subprocess.DEVNULL)
    return os.path.join(folder, "keyskew")


def outputs(program, source, suite, jobs, seed=7, shard="1/1"):
    """-> {name: hash} of every key file and of every run of the result"""
    with tempfile.TemporaryDirectory() as folder:
        keys, result = os.path.join(folder, "keys"), os.path.join(folder, "result.json")
        environment = dict(os.environ, KEYSKEW_SCENARIOS=os.path.join(source, "scenarios"), PATH="/nonexistent")
        done = subprocess.run([program, "run", suite, "-w", "sim", "--seed", str(seed), "--shard", shard, "-j", str(jobs), "-o", folder + "/out", "--keys",
                               keys + "/", "--json", result], env=environment, cwd=folder, capture_output=True, text=True)
        if done.returncode not in (0, 1):
            sys.exit("%s ended with %d: %s" % (program, done.returncode, done.stderr))
        found = {}
        for name in os.listdir(keys):
            with open(os.path.join(keys, name), "rb") as stream:
                found[name] = hashlib.sha256(stream.read()).hexdigest()
        with open(result, encoding="utf-8") as stream:
            for run in json.load(stream)["runs"]:
                found[run["id"]] = hashlib.sha256(json.dumps(run).encode()).hexdigest()
        return found


def main():
    program, source, folder = [os.path.abspath(p) for p in sys.argv[1:4]]
    suite = sys.argv[4] if len(sys.argv) > 4 else "nightly"
    cpus = os.cpu_count() or 1
    expected = outputs(program, source, suite, 1, shard="1/1" if LONG else BUILDS[0][3])
    failures, tried = 0, 0
    for name, compiler, flags, shard in BUILDS:
        if not shutil.which(compiler):
            print("%s: not installed, left out" % compiler)
            continue
        tried += 1
        other = build(source, os.path.join(folder, name.replace(" ", "")), compiler, flags)
        found = outputs(other, source, suite, 2 * cpus, shard=shard)
        whole = expected.keys() if shard == "1/1" or not LONG else set()
        differing = sorted(n for n in whole | found.keys() if expected.get(n) != found.get(n))
        print("%s, -j %d, part %s: %d key files and runs, %d differ%s" % (
            name, 2 * cpus, shard, len(found), len(differing), ": " + ", ".join(differing[:5]) if differing else ""))
        failures += bool(differing)
    if len(expected) < 2 or outputs(program, source, "steady", 1, 7) == outputs(program, source, "steady", 1, 8):
        print("another seed gives the same bytes: this comparison sees nothing")
        failures += 1
    return 1 if failures else 0 if tried else 77


if __name__ == "__main__":
    sys.exit(main())
