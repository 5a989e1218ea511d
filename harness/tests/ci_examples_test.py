#!/usr/bin/env python3
"""Runs the commands of docs/ci/*.yml as the CI systems would, but for installing: every line that calls keyskew or cat.

  ci_examples_test.py PROGRAM DOCS_CI_FOLDER
"""
import json
import os
import re
import subprocess
import sys
import tempfile


def commands(path):
    """(job, command) in the order of the file; the jobs are called part and page in both"""
    job, found = "", []
    with open(path) as f:
        for line in f:
            head = re.match(r"^ {0,2}(part|page):\s*$", line)
            if head:
                job = head.group(1)
            command = re.match(r"^\s+(?:run: |- )((?:keyskew|cat) .*)$", line)
            if command:
                found.append((job, command.group(1)))
    return found


def run(command, folder, environment, part):
    command = command.replace("${{ matrix.part }}", str(part))
    return subprocess.run(["sh", "-ec", command], cwd=folder, env=dict(environment, CI_NODE_INDEX=str(part), CI_NODE_TOTAL="2"),
                          capture_output=True, text=True, timeout=280)


def check(path, program):
    failed = 0
    found = commands(path)
    with tempfile.TemporaryDirectory(prefix="keyskew-ci-") as folder:
        summary = os.path.join(folder, "step-summary.md")
        environment = dict(os.environ, PATH=os.path.dirname(program) + ":" + os.environ["PATH"], GITHUB_STEP_SUMMARY=summary)
        # a small suite in place of the nightly: it is the commands that are tested
        with open(os.path.join(folder, "nightly"), "w") as f:
            f.write("keyskew: 1\nsuite: nightly\nruns:\n  - {scenario: ntp-step-back, generators: [snowflake, unixmilli], seeds: 1..2, worlds: [sim]}\n")
        for job, command in found:
            for part in (1, 2) if job == "part" else (1,):
                done = run(command, folder, environment, part)
                if done.returncode:
                    failed += 1
                    print("%s: %s\n  exit %d\n%s%s" % (path, command, done.returncode, done.stdout, done.stderr))
        try:
            with open(os.path.join(folder, "page/result.json")) as f:
                runs = len(json.load(f)["runs"])
        except OSError as why:
            runs = str(why)
        wanted = ["page/index.html", "page/junit.xml"] + (["step-summary.md"] if "github" in path else [])
        missing = [name for name in wanted if not os.path.isfile(os.path.join(folder, name))]
        if runs != 4 or missing or len(found) < 2:
            failed += 1
            print("%s: %s runs on the page, expected 4; missing: %s; %d commands found" % (path, runs, missing, len(found)))
    return failed


def main():
    program, docs = os.path.abspath(sys.argv[1]), sys.argv[2]
    paths = sorted(os.path.join(docs, name) for name in os.listdir(docs) if name.endswith(".yml"))
    failed = sum(check(path, program) for path in paths)
    print("%d files, %d failures" % (len(paths), failed))
    return 1 if failed or len(paths) < 2 else 0


sys.exit(main())
