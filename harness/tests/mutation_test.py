#!/usr/bin/env python3
"""Plant bugs in generators and checkers, one at a time, and demand that each is caught.

  mutation_test.py BUILD SOURCE [WORD]      BUILD: a Ninja build folder; WORD: only mutants whose file or title has it

Without WORD every fifth mutant is tried, all of them with KEYSKEW_TEST_LONG=1.

mutants.txt beside this file lists them. Each is compiled from a changed copy of its file, with the command of BUILD, and
linked in front of the library that has the sound one. Then its catcher runs twice, with the sound program and with the
mutant: the first must pass, the second must fail by verdict. A crash, a time-out or a usage error catches nothing.
"""
import concurrent.futures
import os
import re
import shlex
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TIMEOUT_S = 60
SHARE = 5


class Mutant:
    def __init__(self, path, title, line):
        self.path, self.title, self.line = path, title, line
        self.old, self.new, self.catcher = [], [], None

    def __str__(self):
        return "%s: %s" % (self.path, self.title)


def read_mutants(path):
    """'@ FILE', then of each mutant ': title', '- old' lines, '+ new' lines, '! catcher'"""
    mutants, file = [], None
    with open(path, encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            mark, text = line[:1], line[2:].strip()
            if mark == "@":
                file = text
            elif mark == ":":
                mutants.append(Mutant(file, text, number))
            elif mark == "-":
                mutants[-1].old.append(text)
            elif mark == "+":
                mutants[-1].new.append(text)
            elif mark == "!":
                mutants[-1].catcher = text
            elif mark not in ("#", "\n", ""):
                sys.exit("%s:%d: expected a line that begins with one of @ : - + ! #" % (path, number))
    for m in mutants:
        if not m.path or not m.old or not m.catcher:
            sys.exit("%s:%d: mutant '%s' lacks its file, its '-' or its '!'" % (path, m.line, m.title))
    return mutants


def mutate(source, mutant):
    """-> the changed text; how the lines are indented and broken does not matter"""
    pattern = r"\s+".join(re.escape(word) for line in mutant.old for word in line.split())
    found = len(re.findall(pattern, source))
    if found != 1:
        raise LookupError("its '-' stands %d times in the file, expected once: did the code change?" % found)
    return re.sub(pattern, lambda _: " ".join(mutant.new), source)


class Build:
    """What a Ninja build folder knows of how things are made."""

    def __init__(self, folder, source):
        self.folder, self.source = os.path.abspath(folder), os.path.abspath(source)
        self.targets = self.ninja("targets", "all")
        self.cache = {}

    def ninja(self, *words):
        return subprocess.run(["ninja", "-C", self.folder, "-t", *words], capture_output=True, text=True, check=True).stdout

    def object_of(self, path):
        """the object of a file that the harness links: generators are also compiled for real processes"""
        end = "/" + os.path.basename(path) + ".o:"
        found = [line.split(":")[0] for line in self.targets.splitlines()
                 if end in line and line.startswith(os.path.dirname(path) + "/") and not re.search(r"_real\.dir|/(test|replay|fuzz)_", line)]
        if len(found) != 1:
            raise LookupError("%d objects of %s in the build" % (len(found), path))
        return found[0]

    def command(self, target):
        if target not in self.cache:
            text = self.ninja("commands", "-s", target).strip()
            words = shlex.split(text.removeprefix(": && ").removesuffix(" && :"))
            self.cache[target] = words[1:] if words[0].endswith("ccache") else words
        return list(self.cache[target])

    def run(self, words):
        done = subprocess.run(words, cwd=self.folder, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError("does not build: %s" % done.stderr.strip()[-600:])

    def compile(self, mutant, folder):
        original = os.path.join(self.source, mutant.path)
        with open(original, encoding="utf-8") as stream:
            text = mutate(stream.read(), mutant)
        changed = os.path.join(folder, os.path.basename(mutant.path))
        with open(changed, "w", encoding="utf-8") as stream:
            stream.write(text)
        words = self.command(self.object_of(mutant.path))
        words = words[:words.index("-c")] + ["-c", changed]
        at = words.index("-MD")
        words[at:at + 5] = []                      # no dependency file
        words[words.index("-o") + 1] = changed + ".o"
        self.run(words + ["-iquote", os.path.dirname(original), "-O1", "-w"])
        return changed + ".o"

    def link(self, program, object_file, folder):
        """The mutant's object comes first, so that the library's is never asked for."""
        words = self.command(program)
        at = words.index("-o")
        made = os.path.join(folder, "mutant")
        self.run(words[:at] + [object_file, "-o", made] + words[at + 2:])
        return made

    def program(self, name):
        for line in self.targets.splitlines():
            target = line.split(":")[0]
            if os.path.basename(target) == name and "EXECUTABLE" in line:
                return target
        raise LookupError("no program %s in the build" % name)


def run_catcher(build, catcher, program, folder):
    """-> 0 passed, 1 failed by verdict, else what happened"""
    kind, *words = shlex.split(catcher)
    environment = dict(os.environ, KEYSKEW_SCENARIOS=os.path.join(build.source, "scenarios"), NO_COLOR="1", PATH="/nonexistent")
    keys = os.path.join(folder, "keys")
    output = os.path.join(folder, "out")
    if kind.startswith("test_"):
        command = [program]
    else:
        command = [program, "run", *words, "-w", "sim", "-o", output]
        if kind == "twice":
            command += ["--twice"]
        if kind == "recompute":
            command += ["--keys", keys + "/", "--json", output + ".json"]
    done = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", timeout=TIMEOUT_S)
    if kind == "recompute" and done.returncode in (0, 1):
        done = subprocess.run([sys.executable, "-B", os.path.join(HERE, "recompute.py"), "--keys", keys, "--json",
                               output + ".json"], capture_output=True, text=True, timeout=TIMEOUT_S)
    if kind == "twice" and done.returncode == 5 and re.search(r": two runs differ: record \d+ is first\n", done.stderr):
        return 1
    if kind == "unproven" and done.returncode == 3 and re.search(r": fault '[^']+' not proven on ", done.stdout + done.stderr):
        return 1
    if done.returncode in (0, 1) and (kind not in ("twice", "unproven") or done.returncode == 0):
        return done.returncode
    return "ended with %d: %s" % (done.returncode, (done.stderr or done.stdout).strip()[-300:])


def program_of(build, catcher):
    kind = catcher.split()[0]
    if kind in ("run", "recompute", "twice", "unproven"):
        return build.program("keyskew")
    if not kind.startswith("test_"):
        raise LookupError("catcher '%s', expected run ..., twice ..., unproven ..., recompute ... or test_NAME" % catcher)
    target = build.program(kind)
    return target


def check_sound(build, catcher):
    try:
        with tempfile.TemporaryDirectory() as folder:
            status = run_catcher(build, catcher, os.path.join(build.folder, program_of(build, catcher)), folder)
    except (LookupError, subprocess.TimeoutExpired) as why:
        status = str(why)
    return None if status == 0 else "catcher '%s' does not pass with the sound program: %s" % (catcher, status)


def check_mutant(build, mutant):
    try:
        with tempfile.TemporaryDirectory() as folder:
            made = build.link(program_of(build, mutant.catcher), build.compile(mutant, folder), folder)
            status = run_catcher(build, mutant.catcher, made, folder)
    except (LookupError, RuntimeError, ValueError) as why:
        return "%s: %s" % (mutant, why)
    except subprocess.TimeoutExpired:
        return "%s: time-out after %d s" % (mutant, TIMEOUT_S)
    if status == 1:
        return None
    return "%s: %s '%s'" % (mutant, "SURVIVES" if status == 0 else status + " in", mutant.catcher)


def main():
    build = Build(sys.argv[1], sys.argv[2])
    word = sys.argv[3] if len(sys.argv) > 3 else ""
    mutants = [m for m in read_mutants(os.path.join(HERE, "mutants.txt")) if word in str(m)]
    if not mutants:
        sys.exit("no mutant has '%s' in its file or title" % word)
    known = len(mutants)
    if not word and os.environ.get("KEYSKEW_TEST_LONG", "0") == "0":
        mutants = mutants[::SHARE]
    catchers = sorted({m.catcher for m in mutants})
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        failures = [f for f in pool.map(lambda c: check_sound(build, c), catchers) if f]
        failures += [f for f in pool.map(lambda m: check_mutant(build, m), mutants) if f]
    for failure in failures:
        print("FAIL %s" % failure)
    print("%d of %d mutants, %d catchers, %d failures" % (len(mutants), known, len(catchers), len(failures)))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
