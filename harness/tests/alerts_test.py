#!/usr/bin/env python3
"""The alert rules of docs/alerts.yml: every metric and label that they name is one that metrics.prom has; promtool accepts them, and each
fires on the metrics of a result that it is about and on no other.

  alerts_test.py PROGRAM ALERTS.YML

Without promtool (Debian: prometheus) the first part is all, and the test says so."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

# A result without surprises, and one of which every rule has something to say.
QUIET = ["run", "steady", "-g", "snowflake", "--set", "duration=2s"]
LOUD = [["run", "ntp-step-back", "-g", "unixmilli", "--set", "faults.back.step=-700ms"],  # unmet, duplicates, a jump
        ["run", "zone-offset", "-g", "hlc"]]  # an expectation that is not tested: no key has a cause


def metrics_of(program, words, folder):
    subprocess.run([program] + words + ["-o", folder], stdout=subprocess.DEVNULL)
    with open(os.path.join(folder, "metrics.prom"), encoding="utf-8") as f:
        lines = [line.rstrip("\n") for line in f]
    assert lines[-1] == "# EOF"
    return [re.fullmatch(r"(\w+)(\{.*\})? (\S+)", line).groups() for line in lines if not line.startswith("#")]


def rules_of(path):
    """[(alert, expression)]; the file is simple enough to be read by lines, and promtool reads it whole."""
    with open(path, encoding="utf-8") as f:
        rules = re.findall(r"- alert: (\w+)\n\s+expr: (.*)\n", f.read())
    assert len(rules) >= 5
    return rules


def check_names(rules, metrics):
    known = {}
    for name, labels, _ in metrics:
        known.setdefault(name, set()).update(re.findall(r"(\w+)=", labels or ""))
    for alert, expression in rules:
        for name, labels in re.findall(r"\b(keyskew_\w+)(\{[^}]*\})?", expression):
            assert name in known, "%s asks for %s, which no result has" % (alert, name)
            for label in re.findall(r"(\w+)\s*(?:=|!)", labels):
                assert label in known[name], "%s asks for %s{%s}, which no result has" % (alert, name, label)
        for label in sum((x.split(",") for x in re.findall(r"\bon \(([^)]*)\)", expression)), []):
            assert any(label.strip() in labels for labels in known.values()), "%s joins on %s" % (alert, label)


def fired(promtool, path, metrics, alert, should, folder):
    """promtool's own unit test of a rule; it knows labels and annotations, we only whether there is one."""
    test = os.path.join(folder, "test.yml")
    with open(test, "w", encoding="utf-8") as f:
        f.write("rule_files: [%s]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:\n" % os.path.abspath(path))
        for name, labels, value in metrics:
            f.write("  - {series: '%s', values: '%s %s'}\n" % (name + (labels or "").replace("'", "''"), value, value))
        f.write("  promql_expr_test:\n  - expr: count(ALERTS{alertname=\"%s\"}) or vector(0)\n    eval_time: 1m\n    exp_samples: [{value: %d}]\n" % (alert, should))
    return subprocess.run([promtool, "test", "rules", test], capture_output=True, text=True)


def main():
    program, path = os.path.abspath(sys.argv[1]), sys.argv[2]
    rules = rules_of(path)
    promtool = shutil.which("promtool")
    with tempfile.TemporaryDirectory(prefix="keyskew-alerts-") as folder:
        quiet = metrics_of(program, QUIET, os.path.join(folder, "quiet"))
        loud = {}
        for words in LOUD:
            loud.update((m[:2], m) for m in metrics_of(program, words, os.path.join(folder, words[1])))
        loud = list(loud.values())
        check_names(rules, loud)
        try:
            check_names([("Planted", 'keyskew_nothing{scope="node"} > 0')], loud)
            sys.exit("a metric that nobody writes passes")
        except AssertionError:
            pass
        print("ok   every metric and label of %d rules is written" % len(rules))
        if not promtool:
            print("skipped: no promtool here; apt-get install prometheus")
            sys.exit(77)
        done = subprocess.run([promtool, "check", "rules", path], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        for alert, expression in rules:
            if not expression.count("keyskew_"):
                continue  # of the collector's own metrics
            said = fired(promtool, path, quiet, alert, 0, folder)
            assert said.returncode == 0, "%s fires on a result without surprises: %s" % (alert, said.stdout + said.stderr)
            said = fired(promtool, path, loud, alert, 0, folder)
            assert said.returncode != 0 and "FAILED" in said.stdout + said.stderr, "%s does not fire: %s" % (alert, said.stdout + said.stderr)
            print("ok   " + alert)


main()
