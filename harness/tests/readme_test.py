#!/usr/bin/env python3
"""What README.md shows is what happens: every console block is run and its output compared, every line of the tutorials is run.

  readme_test.py PROGRAM README

A block that begins with "$ keyskew" is compared word by word (columns may move). In sh blocks a line whose comment says "exit 1" ends
so, all others with 0; lines that do not begin with keyskew are left to other tests.
"""
import os
import re
import shlex
import subprocess
import sys
import tempfile


def blocks(text, language):
    return re.findall(r"^```%s\n(.*?)^```" % language, text, re.S | re.M)


def run(line, folder, environment):
    return subprocess.run(["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def check_console(block, folder, environment):
    lines = block.rstrip("\n").split("\n")
    if not lines[0].startswith("$ keyskew"):
        return []
    done = run(lines[0][2:], folder, environment)
    said = [" ".join(line.split()) for line in done.stdout.rstrip("\n").split("\n")]
    shown = [" ".join(line.split()) for line in lines[1:]]
    missing = [line for line in shown if line != "..." and not any(line in other for other in said)]
    return ["%s\n  does not print: %s\n  but:\n%s%s" % (lines[0], line, done.stdout, done.stderr) for line in missing]


def check_line(line, folder, environment):
    words = shlex.split(line, comments=True)
    if not words or words[0] != "keyskew" or any(word.startswith(("ask:", "exec:")) or word.endswith(".gen.yaml") or "-w" == word or ".so" in word for word in words):
        return []
    wanted = 1 if "exit 1" in line else 0
    done = run(line, folder, environment)
    return [] if done.returncode == wanted else ["%s\n  exit %d, expected %d\n%s%s" % (line, done.returncode, wanted, done.stdout, done.stderr)]


def main():
    program, readme = os.path.abspath(sys.argv[1]), sys.argv[2]
    with open(readme, encoding="utf-8") as f:
        text = f.read()
    failures, checked = [], 0
    with tempfile.TemporaryDirectory(prefix="keyskew-readme-") as folder:
        environment = dict(os.environ, PATH=os.path.dirname(program) + ":" + os.environ["PATH"], NO_COLOR="1")
        for block in blocks(text, "console"):
            failures += check_console(block, folder, environment)
            checked += 1
        for block in blocks(text, "sh"):
            if "&&" in block:  # a user's own program in every language: foreign_test.py
                continue
            for line in block.split("\n"):
                failures += check_line(line, folder, environment)
                checked += line.startswith("keyskew")
    for failure in failures:
        print(failure)
    print("%d checked, %d failures" % (checked, len(failures)))
    return 1 if failures or checked < 5 else 0


sys.exit(main())
