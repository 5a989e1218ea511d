#!/usr/bin/env python3
"""Consumers for real: the keys of a run, fed to a real Redis, SQLite and PostgreSQL, do the damage that the models say.

  consumer_test.py PROGRAM [GROUP|TEST]...   as cli_test.py, whose machinery this uses

The stores get the calls in the order in which they returned and decide by themselves what is overwritten or refused; only times
(which shard was run already) are the scenario's.
"""
import glob
import os
import pwd
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

import cli_test
from cli_test import Skip, recompute, test

cli_test.TESTS.clear()


def keys_of(t, scenario, generator, consumer, *sets):
    """what a run says of the damage, and its keys in the order of return"""
    words = [word for s in sets for word in ("--set", s)]
    t.run("run", scenario, "-g", generator, "-w", "sim", "--json", "r.json", "--keys", "k.tsv", *words, code=(0, 1), timeout=60)
    run = t.json("r.json")["runs"][0]
    damage = {name: recompute.as_int(value) for name, value in run["damage"][consumer].items() if not isinstance(value, dict)}
    rows = [r for r in recompute.read_keys(t.path("k.tsv"))[1] if r.outcome == "key"]
    t.need(len(rows) > 500, "only %d keys" % len(rows))
    return damage, rows


def same(t, what, found, damage):
    for name, count in found.items():
        t.check(count == damage[name], "%s: %s is %d, the model says %r" % (what, name, count, damage[name]))
    t.check(sum(found.values()) > 0 or "compare" in what or "uuid" in what, "%s: no damage at all, so nothing was compared" % what)


# --- f2: a key-value store ----------------------------------------------------------------------------------------------

class Redis:
    """a server of our own on a unix socket; it ends with the block"""

    def __enter__(self):
        if not shutil.which("redis-server"):
            raise Skip("redis-server is not installed: apt-get install redis-server")
        self.folder = tempfile.mkdtemp(prefix="ks-redis-")
        self.server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", self.folder + "/s", "--dir", self.folder,
                                        "--save", "", "--appendonly", "no"], stdout=subprocess.DEVNULL)
        for _ in range(500):
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(self.folder + "/s")
                break
            except OSError:
                self.socket.close()
                time.sleep(0.02)
        self.file = self.socket.makefile("rb")
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()
        self.server.kill()
        self.server.wait()
        shutil.rmtree(self.folder)

    def many(self, commands):
        """pipelined; the answers, None for nil"""
        answers = []
        for at in range(0, len(commands), 200):
            part = commands[at:at + 200]
            self.socket.sendall(b"".join(b"*%d\r\n" % len(c) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in c) for c in part))
            for _ in part:
                line = self.file.readline()
                if line[:1] == b"$" and line != b"$-1\r\n":
                    answers.append(self.file.read(int(line[1:]) + 2)[:-2])
                else:
                    answers.append(None if line in (b"$-1\r\n", b"*-1\r\n") else line.strip())
        return answers


def relation(by, of):
    if by.node != of.node:
        return "overwritten_other_node"
    if by.process != of.process:
        return "overwritten_other_process"
    return "overwritten_own" if by.incarnation == of.incarnation else "overwritten_earlier_life"


# "f2's store can be a real Redis ... the same damage as the models for the same keys"
@test("redis")
def redis_set(t):
    for generator in ("unixmilli", "uuidv7"):
        damage, rows = keys_of(t, "f2-resume-sync-back", generator, "key-value-store")
        found = dict.fromkeys((n for n in damage if n.startswith("overwritten")), 0)
        with Redis() as redis:
            old = redis.many([[b"SET", r.key, b"%d" % i, b"GET"] for i, r in enumerate(rows)])
        for row, before in zip(rows, old):
            if before is not None:
                found["overwritten"] += 1
                found[relation(row, rows[int(before)])] += 1
        same(t, "SET under " + generator, found, damage)
        if generator == "unixmilli":  # the comparison can fail: a store that never saw one of the calls
            with Redis() as redis:
                fewer = redis.many([[b"SET", r.key, b"x", b"GET"] for i, r in enumerate(rows) if old[i] is None or i % 2])
            t.check(sum(b is not None for b in fewer) < damage["overwritten"], "half of the calls do as much damage")


@test("redis")
def redis_set_if_absent(t):
    damage, rows = keys_of(t, "f2-resume-sync-back", "unixmilli", "key-value-store", "consumers.key-value-store.write=set-if-absent")
    with Redis() as redis:
        answers = redis.many([[b"SET", r.key, b"%d" % i, b"NX"] for i, r in enumerate(rows)])
    same(t, "SET NX", {"rejected": sum(a is None for a in answers), "overwritten": 0}, damage)


# --- f4: a shard table --------------------------------------------------------------------------------------------------

CREATE = "create table task (key text primary key, number integer, version integer)"
UPSERT = ("insert into task values ('%s', %d, 1) on conflict (key) do update set number = excluded.number, "
          "version = task.version + 1 returning version")
COMPARE_AND_SET = "insert into task values ('%s', %d, 1) on conflict (key) do nothing returning version"


def in_time(rows):
    """those that are written before their shard is run, and how many are not"""
    early = [r for r in rows if r.return_ns < r.embed_hi_ns]
    return early, len(rows) - len(early), sum(not r.embed_lo_ns <= r.call_ns < r.embed_hi_ns for r in rows)


class Sqlite:
    def __enter__(self):
        self.db = sqlite3.connect(":memory:")
        self.db.execute(CREATE)
        return self

    def __exit__(self, *_):
        self.db.close()

    def versions(self, statements):
        """what each statement returns, None for no row"""
        answers = []
        for s in statements:
            row = self.db.execute(s).fetchone()
            answers.append(row and row[0])
        return answers


class Postgres:
    """a cluster of our own on a unix socket; it ends with the block"""

    def __enter__(self):
        programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not programs or not shutil.which("psql"):
            raise Skip("PostgreSQL is not installed: apt-get install postgresql")
        user = pwd.getpwnam("postgres") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        self.as_user = dict(user=user.pw_uid, group=user.pw_gid, extra_groups=[]) if os.getuid() == 0 else {}
        self.folder = tempfile.mkdtemp(prefix="ks-postgres-", dir="/tmp")
        os.chown(self.folder, user.pw_uid, user.pw_gid)
        subprocess.run([programs[-1] + "/initdb", "--no-sync", "--auth=trust", "--username=postgres", "-D", self.folder + "/data"],
                       check=True, stdout=subprocess.DEVNULL, cwd="/", **self.as_user)
        self.server = subprocess.Popen([programs[-1] + "/postgres", "-D", self.folder + "/data", "-k", self.folder, "-c", "listen_addresses=",
                                        "-c", "fsync=off"], stderr=subprocess.DEVNULL, cwd="/", **self.as_user)
        for _ in range(200):
            if self.psql(CREATE).returncode == 0:
                break
            time.sleep(0.1)
        return self

    def __exit__(self, *_):
        self.server.send_signal(2)
        self.server.wait()
        shutil.rmtree(self.folder)

    def psql(self, text):
        return subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-U", "postgres", "postgres"],
                              input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def versions(self, statements):
        out = self.psql("begin;\n" + "".join("select 'x';\n%s;\n" % s for s in statements) + "commit;\n").stdout.split()
        answers = []
        for word in out:
            if word == "x":
                answers.append(None)
            else:
                answers[-1] = int(word)
        return answers


def shard_table(store, *sets):
    def run(t):
        for generator in ("shard-key", "shard-key:compare-and-set"):
            for scenario, statement in (("f4-shard-key-overwrite", UPSERT), ("f4-shard-key-rejected", COMPARE_AND_SET)):
                damage, rows = keys_of(t, scenario, generator, "shard-table", *sets)
                early, missed, misrouted = in_time(rows)
                with store() as table:
                    versions = table.versions([statement % (r.key.decode(), i) for i, r in enumerate(early)])
                t.need(len(versions) == len(early), "%d answers to %d writes" % (len(versions), len(early)))
                found = {"missed_tasks": missed, "misrouted_tasks": misrouted,
                         "lost_tasks": sum(v is not None and v > 1 for v in versions), "rejected_tasks": sum(v is None for v in versions)}
                same(t, "%s under %s" % (scenario, generator), found, damage)
    run.__name__ = "shard_table_" + store.__name__.lower()
    return run


# "f4's shard table a real SQLite or PostgreSQL"
test("sql")(shard_table(Sqlite))
test("sql")(shard_table(Postgres, "duration=12m"))

if __name__ == "__main__":
    sys.exit(cli_test.main())
