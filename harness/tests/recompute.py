#!/usr/bin/env python3
"""Recompute every metric of a keyskew run from its key file, and compare with its JSON.

  recompute.py --keys FILE|DIR --json FILE [--run N]     0 all equal, 1 differences (one a line), 2 unreadable
  recompute.py --self-test [--seed N] [--rounds N]       random data: fast against naive, planted errors are caught

Written from the contract (the key file, the JSON, the definitions of the metrics), not from the program: the two must be
able to disagree. Standard library only.
"""
import argparse
import bisect
import concurrent.futures
import fractions
import json
import os
import random
import re
import sys
import uuid

COLUMNS = ("due_ns call_ns return_ns node process incarnation thread seq outcome key order_key "
           "embed_lo_ns embed_hi_ns parent context").split()
INTEGERS = "due_ns call_ns return_ns node process incarnation thread seq embed_lo_ns embed_hi_ns parent".split()
SCOPES = ("thread", "process", "node", "fleet")
OUTCOMES = ("key", "refuse", "lost")
BY_SCOPE = ("duplicates", "descents", "below_max", "displacement", "late_ns_max")
DISORDER = ("inversions", "rem")
MAXIMA = ("displacement", "late_ns_max")
SNOWFLAKE_EPOCH_MS = 1288834974657
UNITS_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}


class Unreadable(Exception):
    pass


class Row:
    __slots__ = COLUMNS + ["number", "order"]

    def identity(self):
        return (self.node, self.process, self.incarnation, self.thread, self.seq)


INTEGER, TEXT = rb"(-?(?:0|[1-9][0-9]*)|)", rb"([!-~]*)"
LINE = re.compile(rb"\t".join({"outcome": rb"([a-z]*)"}.get(c, INTEGER if c in INTEGERS else TEXT) for c in COLUMNS) + rb"\n").fullmatch


# --- reading ------------------------------------------------------------------------------------------------------------

def unescape(text):
    """bytes outside 0x21-0x7e and backslash are \\xHH"""
    return re.sub(rb"\\x([0-9a-fA-F]{2})", lambda m: bytes([int(m.group(1), 16)]), text)


def row_of(fields, number):
    """of a line that is as it should be"""
    row = Row()
    row.number = number
    (due, call, back, node, process, incarnation, thread, seq, outcome, key, order_key, lo, hi, parent, context) = fields
    row.due_ns = int(due) if due else None
    row.call_ns = int(call) if call else None
    row.return_ns = int(back) if back else None
    row.node = int(node) if node else None
    row.process = int(process) if process else None
    row.incarnation = int(incarnation) if incarnation else None
    row.thread = int(thread) if thread else None
    row.seq = int(seq) if seq else None
    row.outcome = outcome.decode("ascii") or None
    row.key = (unescape(key) if b"\\" in key else key) if key else None
    row.order_key = (unescape(order_key) if b"\\" in order_key else order_key) if order_key else None
    row.embed_lo_ns = int(lo) if lo else None
    row.embed_hi_ns = int(hi) if hi else None
    row.parent = int(parent) if parent else None
    row.context = (unescape(context) if b"\\" in context else context) if context else None
    return row


def read_keys(path):
    """-> meta (of the # lines), rows, problems of form"""
    meta, rows, problems, header = {}, [], [], None
    visible = re.compile(rb"[!-~]*").fullmatch
    integer = re.compile(rb"-?(?:0|[1-9][0-9]*)").fullmatch

    def problem(line_number, text):
        if len(problems) < 20:
            problems.append("%s:%d: %s" % (path, line_number, text))

    with open(path, "rb") as stream:
        for line_number, line in enumerate(stream, 1):
            if not line.endswith(b"\n"):
                problem(line_number, "last line has no newline")
            if header is not None:
                match = LINE(line)
                if match:
                    rows.append(row_of(match.groups(), len(rows)))
                    continue
            line = line.rstrip(b"\n")
            if header is None and line.startswith(b"#"):
                text = line[1:].decode("utf-8", "replace").strip()
                pairs = re.findall(r"([A-Za-z_]+)\s*=\s*(\S+)", text)
                if not pairs:
                    pairs = re.findall(r"^([A-Za-z_]+)\s*[:\s]\s*(.+)$", text)
                meta.update((name, unescape(value.encode()).decode("utf-8", "replace")) for name, value in pairs)
                continue
            fields = line.split(b"\t")
            if header is None:
                header = [f.decode("utf-8", "replace") for f in fields]
                if header != COLUMNS:
                    raise Unreadable("%s:%d: header is %r, expected %r" % (path, line_number, header, COLUMNS))
                continue
            if len(fields) != len(COLUMNS):
                problem(line_number, "%d fields, expected %d" % (len(fields), len(COLUMNS)))
                continue
            row = Row()
            row.number = len(rows)
            for name, field in zip(COLUMNS, fields):
                if field == b"":
                    value = None
                elif name in ("key", "order_key", "context"):
                    if not visible(field):
                        problem(line_number, "%s has a byte outside 0x21-0x7e" % name)
                    value = unescape(field) if b"\\" in field else field
                elif name == "outcome":
                    value = field.decode("ascii", "replace")
                else:
                    if not integer(field):
                        raise Unreadable("%s:%d: %s is %r, not an integer" % (path, line_number, name, field))
                    value = int(field)
                setattr(row, name, value)
            rows.append(row)
    if header is None:
        raise Unreadable("%s: no header" % path)
    for name in ("schema", "scenario", "generator", "seed", "start_unix_ns", "compare"):
        if name not in meta:
            problem(0, "no '%s' in the # lines" % name)
    if meta.get("compare") not in ("numeric", "bytes"):
        problem(0, "compare=%r, expected numeric or bytes" % meta.get("compare"))
    numeric, decimal = meta.get("compare") == "numeric", re.compile(rb"-?[0-9]+").fullmatch
    for row in rows:
        text = row.order_key
        row.order = text if not numeric or text is None else int(text) if decimal(text) else None
        if row.outcome not in OUTCOMES:
            problem(row.number, "row %d: outcome %r" % (row.number, row.outcome))
        if row.node is None or row.process is None or row.incarnation is None or row.thread is None or row.seq is None:
            problem(row.number, "row %d: an id is missing" % row.number)
        if (row.outcome == "key") != (row.key is not None):
            problem(row.number, "row %d: outcome %s with key %r" % (row.number, row.outcome, row.key))
        if row.return_ns is None:
            if row.outcome in ("key", "refuse"):
                problem(row.number, "row %d: outcome %s without a return" % (row.number, row.outcome))
        elif row.call_ns is not None and row.return_ns < row.call_ns:
            problem(row.number, "row %d: returns before its call" % row.number)
        if row.due_ns is not None and row.call_ns is not None and row.call_ns < row.due_ns:
            problem(row.number, "row %d: called before it is due" % row.number)
        if row.embed_lo_ns is not None and row.embed_hi_ns is not None and row.embed_hi_ns < row.embed_lo_ns:
            problem(row.number, "row %d: embed_hi < embed_lo" % row.number)
    keyed = [r for r in rows if r.order_key is not None]
    if keyed and any(r.order is None for r in keyed):
        problem(0, "compare=numeric, but an order_key is not a decimal integer")
    if not any("an id is missing" in p for p in problems):
        if len({r.identity() for r in rows}) != len(rows):
            problem(0, "two rows with the same node, process, incarnation, thread, seq")
        if not in_fleet_order([r for r in rows if r.return_ns is not None]):
            problem(0, "rows are not in fleet order (return; ties: node, process, incarnation, thread, seq)")
    return meta, rows, problems


def in_fleet_order(rows):
    for a, b in zip(rows, rows[1:]):
        if b.return_ns <= a.return_ns and (b.return_ns < a.return_ns or b.identity() < a.identity()):
            return False
    return True


def identity(row):
    """keys are equal when they sort as equal: a generator file may say that case or leading zeros do not count"""
    return row.key if row.order_key is None else row.order_key


# --- groups -------------------------------------------------------------------------------------------------------------

def group_of(row, scope):
    if scope == "fleet":
        return ()
    if scope == "node":
        return (row.node,)
    if scope == "process":
        return (row.node, row.process, row.incarnation)
    return (row.node, row.process, row.incarnation, row.thread)


def groups(rows, scope):
    """the keys of each group, in the order of return; rows are in that order"""
    found = {}
    if scope == "fleet":
        found[()] = [r for r in rows if r.outcome == "key"]
        return found if found[()] else {}
    for row in rows:
        if row.outcome == "key":
            group = group_of(row, scope)
            if group not in found:
                found[group] = []
            found[group].append(row)
    return found


# --- one group: the fast path -------------------------------------------------------------------------------------------

def fast_group(keys, disorder=True):
    n = len(keys)
    result = {"duplicates": n - len({identity(k) for k in keys})}
    if any(k.order is None for k in keys):
        return result
    descents = below = displacement = late = 0
    running = []                       # running[i] = largest of the first i + 1; it never falls, so it can be searched
    for j, k in enumerate(keys):
        if j and k.order < keys[j - 1].order:
            descents += 1
        if j and running[-1] > k.order:
            below += 1
            i = bisect.bisect_right(running, k.order)      # the first i whose prefix holds a larger key: itself larger
            displacement = max(displacement, j - i)
            late = max(late, k.return_ns - keys[i].return_ns)
        running.append(k.order if not running or k.order > running[-1] else running[-1])
    result.update(descents=descents, below_max=below, displacement=displacement, late_ns_max=late)
    if not disorder:
        return result
    result["inversions"] = count_inversions([k.order for k in keys])
    tails = []
    for k in keys:
        at = bisect.bisect_right(tails, k.order)
        tails[at:at + 1] = [k.order]
    result["rem"] = n - len(tails)
    return result


def count_inversions(values):
    total, width, source = 0, 1, list(values)
    while width < len(source):
        target = []
        for low in range(0, len(source), 2 * width):
            left, right = source[low:low + width], source[low + width:low + 2 * width]
            if not right or left[-1] <= right[0]:
                target += left + right
                continue
            i = 0
            for value in right:
                while i < len(left) and left[i] <= value:
                    target.append(left[i])
                    i += 1
                total += len(left) - i
                target.append(value)
            target += left[i:]
        source, width = target, 2 * width
    return total


# --- one group: the definitions, word for word (quadratic) --------------------------------------------------------------

def naive_group(keys, disorder=True):
    n = len(keys)
    distinct = []
    for k in keys:
        if identity(k) not in distinct:
            distinct.append(identity(k))
    result = {"duplicates": n - len(distinct)}
    if any(k.order is None for k in keys):
        return result
    pairs = [(i, j) for j in range(n) for i in range(j) if keys[i].order > keys[j].order]
    result["descents"] = sum(1 for j in range(1, n) if keys[j].order < keys[j - 1].order)
    result["below_max"] = sum(1 for j in range(1, n) if keys[j].order < max(k.order for k in keys[:j]))
    result["displacement"] = max([j - i for i, j in pairs], default=0)
    result["late_ns_max"] = max([keys[j].return_ns - keys[i].return_ns for i, j in pairs], default=0)
    if not disorder:
        return result
    result["inversions"] = len(pairs)
    best = [1] * n
    for j in range(n):
        for i in range(j):
            if keys[i].order <= keys[j].order:
                best[j] = max(best[j], best[i] + 1)
    result["rem"] = n - max(best, default=0)
    return result


# --- a property: increasing ---------------------------------------------------------------------------------------------

def before(a, b):
    """a returned before b began: for certain; an equal instant is certain only inside one thread"""
    if a.return_ns < b.call_ns:
        return True
    same = group_of(a, "thread") == group_of(b, "thread")
    return same and a.return_ns == b.call_ns and a.seq < b.seq


def naive_increasing(keys):
    certain = any(before(a, b) and a.order > b.order for a in keys for b in keys)
    possible = certain or any(a is not b and a.return_ns <= b.call_ns and a.order > b.order for a in keys for b in keys)
    return certain, possible


def fast_increasing(keys):
    """-> broken for certain, broken if an equal instant counts as before"""
    certain = possible = False
    by_return = sorted(keys, key=lambda r: r.return_ns)
    strict = loose = None
    s = t = 0
    for b in sorted(keys, key=lambda r: r.call_ns):
        while s < len(by_return) and by_return[s].return_ns < b.call_ns:
            strict = by_return[s].order if strict is None else max(strict, by_return[s].order)
            s += 1
        t = max(t, s)
        while t < len(by_return) and by_return[t].return_ns <= b.call_ns:
            t += 1
        if strict is not None and strict > b.order:
            certain = possible = True
            break
        for a in by_return[s:t]:
            if a is not b and a.order > b.order:
                possible = True
                certain = certain or before(a, b)
    return certain, possible


# --- a whole run --------------------------------------------------------------------------------------------------------

def nearest_rank(values, percent):
    return sorted(values)[(len(values) * percent + 99) // 100 - 1]


def compute(rows, naive=False, disorder=True):
    """-> metrics (absent = cannot be known from the file), verdicts {claim: (certainly broken, possibly broken)}"""
    metrics, verdicts = {}, {}
    one_group = naive_group if naive else fast_group
    ordered = all(r.order is not None for r in rows if r.outcome == "key")
    timed = all(r.call_ns is not None for r in rows if r.outcome == "key")
    results, each, count = None, None, None
    for scope in SCOPES:
        found = groups(rows, scope)
        if naive or len(found) != count:      # scopes nest: as many groups are the same groups
            count = len(found)
            results = [one_group(members, disorder) for members in found.values()]
            each = []
            if ordered and timed:
                each = [naive_increasing(m) if naive else fast_increasing(m) if r["below_max"] or any(k.call_ns == k.return_ns for k in m)
                        else (False, False)
                        for m, r in zip(found.values(), results)]
        for name in BY_SCOPE + (DISORDER if disorder else ()):
            if name != "duplicates" and not ordered:
                continue
            values = [r[name] for r in results]
            metrics.setdefault(name, {})[scope] = max(values, default=0) if name in MAXIMA else sum(values)
        broken = metrics["duplicates"][scope] > 0
        verdicts["unique@" + scope] = (broken, broken)
        if ordered and timed:
            verdicts["increasing@" + scope] = (any(c for c, _ in each), any(p for _, p in each))
    keys = [r for r in rows if r.outcome == "key"]
    ahead = [r.embed_lo_ns - r.return_ns for r in keys if r.embed_lo_ns is not None]
    behind = [r.call_ns - r.embed_hi_ns for r in keys if r.embed_hi_ns is not None and r.call_ns is not None]
    if ahead:
        metrics["ahead_ns_max"] = max(0, max(ahead))
    if behind:
        metrics["behind_ns_max"] = max(0, max(behind))
    if ordered:
        metrics["causality_violations"] = causality(rows)
    stalls = [r.return_ns - r.due_ns for r in rows if r.outcome in ("key", "refuse") and r.due_ns is not None]
    if stalls and timed:
        metrics["stall_ns_max"] = max(stalls)
        metrics["stall_ns_p50"] = nearest_rank(stalls, 50)
        metrics["stall_ns_p99"] = nearest_rank(stalls, 99)
    metrics["refusals"] = sum(1 for r in rows if r.outcome == "refuse")
    metrics["lost"] = sum(1 for r in rows if r.outcome == "lost")
    return metrics, verdicts


def parent_base(rows):
    """a parent is a row number: from 0 unless only counting from 1 puts every cause before its effect"""
    children = [r for r in rows if r.parent is not None and r.return_ns is not None]

    def sound(base):
        return all(0 <= r.parent - base < len(rows) and rows[r.parent - base].return_ns is not None
                   and rows[r.parent - base].return_ns <= r.return_ns and r.parent - base != r.number for r in children)
    if sound(0):
        return 0
    return 1 if sound(1) else None


def causality(rows, scope="fleet"):
    """keys that are not larger than that of their cause, both in one group"""
    base = parent_base(rows)
    count = 0
    for row in rows:
        if row.parent is None or row.outcome != "key" or base is None:
            continue
        parent = rows[row.parent - base]
        if parent.outcome == "key" and row.order <= parent.order and group_of(row, scope) == group_of(parent, scope):
            count += 1
    return count


# --- the other properties: how many calls break them ----------------------------------------------------------------------

CLAIM = re.compile(r"(unique|increasing|sorted|causal|clock|available)(?:\(([0-9.]+)(ns|us|ms|s|m|h|d)\))?@(thread|process|node|fleet)")


def count_claim(rows, claim):
    """-> the calls that break a claim, or None: the file does not tell"""
    match = CLAIM.fullmatch(claim)
    if not match or match.group(1) == "unique":
        return None
    name, number, unit, scope = match.groups()
    bound = int(fractions.Fraction(number) * UNITS_NS[unit]) if number else 0
    keys = [r for r in rows if r.outcome == "key"]
    if any(r.order is None for r in keys) and name in ("increasing", "sorted", "causal"):
        return None
    if any(r.call_ns is None for r in rows) and name in ("increasing", "clock", "available"):
        return None
    if name == "clock":
        return sum(1 for r in keys if r.embed_lo_ns is not None
                   and (r.embed_lo_ns - r.return_ns > bound or r.call_ns - r.embed_hi_ns > bound))
    if name == "available":       # how late a lost call is, is known at the end of the run only
        if any(r.outcome == "lost" for r in rows):
            return None
        return sum(1 for r in rows if r.outcome == "refuse" or r.return_ns - r.due_ns > bound)
    if name == "causal":
        return causality(rows, scope)
    counted = count_sorted if name == "sorted" else count_increasing
    return sum(counted(members, bound) for members in groups(rows, scope).values())


def count_sorted(keys, bound):
    """smaller than one that had been returned more than bound before"""
    count, at, largest = 0, 0, None
    for k in keys:
        while keys[at].return_ns < k.return_ns - bound:
            largest = keys[at].order if largest is None or keys[at].order > largest else largest
            at += 1
        count += largest is not None and largest > k.order
    return count


def count_increasing(keys, _):
    """smaller than one whose call had returned before this one began; calls of one thread follow one another"""
    count, running, returns, own = 0, [], [k.return_ns for k in keys], {}
    for k in keys:
        running.append(k.order if not running or k.order > running[-1] else running[-1])
    for k in keys:
        lane = (k.node, k.process, k.incarnation, k.thread)
        before_it = bisect.bisect_left(returns, k.call_ns)
        count += (before_it > 0 and running[before_it - 1] > k.order) or (lane in own and own[lane] > k.order)
        if lane not in own or k.order > own[lane]:
            own[lane] = k.order
    return count


# --- decoding, for the generators whose layout this program knows by itself ---------------------------------------------

def decode(generator, key):
    """-> (value that sorts, first ns of the embedded tick or None, length of the tick); raises ValueError"""
    name = generator.split(":")[0]
    text = key.decode("latin-1")
    if "user" in generator.split(":")[1:]:
        return None
    if name == "unixmilli":
        if not re.fullmatch(r"-?(0|[1-9][0-9]*)", text):
            raise ValueError("not a decimal number")
        return int(text), int(text) * 10**6, 10**6
    if name == "counter":
        if not re.fullmatch(r"[0-9a-f]{16}", text):
            raise ValueError("not 16 lower hex digits")
        return int(text, 16), None, 0
    if name == "snowflake" and "ms20" in generator:
        return int(text), (int(text) >> 20) * 10**6, 10**6
    if name == "unixnano":
        return int(text), int(text), 1
    if name == "ulid":
        if not re.fullmatch(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", text):
            raise ValueError("not 26 letters of Crockford's base 32")
        number = 0
        for letter in text:
            number = number * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(letter)
        return number, (number >> 80) * 10**6, 10**6
    if name == "hlc" and not set(generator.split(":")[1:]) - {"wrapping", "carrying"}:
        return int(text), (int(text) >> 16) * 10**6, 10**6
    if name == "lamport":
        return int(text), None, 0
    if name == "snowflake":
        if not re.fullmatch(r"0|[1-9][0-9]*", text) or int(text) >= 2**63:
            raise ValueError("not a positive 63-bit decimal number")
        return int(text), ((int(text) >> 22) + SNOWFLAKE_EPOCH_MS) * 10**6, 10**6
    if name == "uuidv7":
        if not re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", text):
            raise ValueError("not a canonical version 7 UUID")
        number = uuid.UUID(text).int
        return number, (number >> 80) * 10**6, 10**6
    return None


def layout_is_default(generator):
    name, *options = generator.split(":")
    return not any("=" in o and not o.startswith(("variant=", "method=", "policy=")) for o in options)


def check_decoding(meta, rows):
    generator = meta.get("generator", "")
    if not layout_is_default(generator):
        return []
    problems, decoded = [], []
    start = int(meta.get("start_unix_ns", "0"))
    for row in rows:
        if row.outcome != "key":
            continue
        try:
            own = decode(generator, row.key)
        except ValueError as why:
            problems.append("row %d: key %r of %s: %s" % (row.number, row.key, generator, why))
            continue
        if own is None:
            return []
        value, lo, tick = own
        low, high = (None, None) if lo is None else (lo - start, lo - start + tick)
        if (row.embed_lo_ns, row.embed_hi_ns) != (low, high):
            problems.append("row %d: key %s embeds %s..%s, the file says %s..%s"
                            % (row.number, row.key.decode(), low, high, row.embed_lo_ns, row.embed_hi_ns))
        decoded.append((value, row.order, row.number))
    if decoded and all(order is not None for _, order, _ in decoded):
        decoded.sort(key=lambda d: d[0])
        for (v, o, n), (w, p, m) in zip(decoded, decoded[1:]):
            if (v < w) != (o < p) or (v == w) != (o == p):
                problems.append("rows %d, %d: the order of order_key is not the order of key" % (n, m))
    elif decoded:
        problems.append("a key without order_key")
    if len(problems) > 5:
        problems[5:] = ["... and %d more of decoding" % (len(problems) - 5)]
    return problems


# --- comparing ----------------------------------------------------------------------------------------------------------

def as_int(value):
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]+", value):
        return int(value)
    return None


def parse_band(text):
    """'120', '119..121', '1..', '..5ms' -> (low or None, high or None); None if it is no band"""
    def number(part):
        match = re.fullmatch(r"([+-]?[0-9]+)(ns|us|ms|s|m|h|d)?", part)
        if not match:
            raise ValueError(part)
        return int(match.group(1)) * UNITS_NS.get(match.group(2) or "ns", 1)
    try:
        if ".." not in text:
            return number(text), number(text)
        low, high = text.split("..")
        return (number(low) if low else None), (number(high) if high else None)
    except ValueError:
        return None


def compare(run, rows, meta=None, naive=False):
    """-> list of differences, number of comparisons"""
    given = run.get("metrics", {})
    metrics, verdicts = compute(rows, naive, any(name in given for name in DISORDER))
    differences, compared = [], 0
    timed = any(r.call_ns is not None for r in rows)

    def check(name, ours, theirs, optional=False):
        nonlocal compared
        compared += 1
        if theirs is None and (optional or ours is None):
            return
        if ours is None:
            differences.append("%s: result says %r, the key file has nothing to compute it from" % (name, theirs))
        elif theirs is None:
            differences.append("%s: recomputed %d, absent in the result" % (name, ours))
        elif as_int(theirs) != ours:
            differences.append("%s: recomputed %d, result says %r" % (name, ours, theirs))

    for name in BY_SCOPE + DISORDER:
        theirs = given.get(name)
        if theirs is not None and not isinstance(theirs, dict):
            differences.append("%s: %r is not an object of scopes" % (name, theirs))
            continue
        for scope in SCOPES:
            check("%s@%s" % (name, scope), metrics.get(name, {}).get(scope), (theirs or {}).get(scope),
                  optional=name in DISORDER or (name != "duplicates" and not timed))
        for scope in set(theirs or {}) - set(SCOPES):
            differences.append("%s: unknown scope %r" % (name, scope))
    for name in ("ahead_ns_max", "behind_ns_max", "causality_violations", "stall_ns_max", "stall_ns_p50", "stall_ns_p99",
                 "refusals", "lost"):
        check(name, metrics.get(name), given.get(name),
              optional=not timed and name in ("ahead_ns_max", "causality_violations"))
    check("calls", len(rows), run.get("calls"))
    check("keys", sum(1 for r in rows if r.outcome == "key"), run.get("keys"))

    for claim in run.get("claims", []):
        name, verdict = claim.get("claim"), claim.get("verdict")
        if verdict not in ("kept", "broken", "untested"):
            differences.append("claim %s: verdict %r" % (name, verdict))
        ours = count_claim(rows, name or "")
        if ours is not None:
            check("count of " + name, ours, claim.get("count"))
            if verdict != "untested" and (verdict == "broken") != (ours > 0):
                differences.append("claim %s: result says %s, recomputed %d violations" % (name, verdict, ours))
            if verdict == "untested" and ours:
                differences.append("claim %s: untested with %d violations" % (name, ours))
        if name not in verdicts:
            continue
        compared += 1
        certain, possible = verdicts[name]
        if verdict == "broken" and not possible:
            differences.append("claim %s: result says broken, recomputed: not broken" % name)
        if verdict != "broken" and certain:
            differences.append("claim %s: result says %s, recomputed: broken" % (name, verdict))
        if verdict == "kept" and not claim.get("exposed"):
            differences.append("claim %s: kept with exposed %r: nothing is kept vacuously" % (name, claim.get("exposed")))
        if name.startswith("unique@"):
            check("count of " + name, metrics["duplicates"][name[7:]], claim.get("count"), optional=verdict == "untested")

    for expectation in run.get("expectations", []):
        text, met = expectation.get("text", ""), expectation.get("met")
        match = re.fullmatch(r"([a-z0-9_]+)(?:@([a-z]+))?:\s*(\S+)", text)
        if not match:
            continue
        name, scope, asked = match.groups()
        if name in ("unique", "increasing"):
            certain, possible = verdicts.get("%s@%s" % (name, scope), (None, None))
            wrong = (asked == "kept" and met is True and certain) or \
                    (asked == "broken" and certain and met is not True) or \
                    (asked == "broken" and possible is False and met is True)
            compared += 1
            if wrong:
                differences.append("expectation '%s': met=%r, recomputed broken=%r" % (text, met, certain))
            continue
        ours = metrics.get(name)
        ours = ours.get(scope) if isinstance(ours, dict) else ours
        band = parse_band(asked)
        if ours is None or band is None:
            continue
        check("value of expectation '%s'" % text, ours, expectation.get("value"))
        inside = (band[0] is None or ours >= band[0]) and (band[1] is None or ours <= band[1])
        if bool(met) != inside:
            differences.append("expectation '%s': met=%r, recomputed value %d" % (text, met, ours))
    if any(r.parent is not None for r in rows) and parent_base(rows) is None:
        differences.append("parent: no numbering of the rows puts each cause before its effect")
    if meta is not None:
        differences += check_decoding(meta, rows)
    return differences, compared


def matching_runs(document, meta):
    return [r for r in document.get("runs", [])
            if r.get("scenario") == meta.get("scenario") and r.get("generator") == meta.get("generator")
            and str(r.get("seed")) == str(meta.get("seed")) and meta.get("world", r.get("world")) == r.get("world")]


def check_file(path, document, json_path, run_number):
    """-> differences, comparisons of one key file"""
    meta, rows, problems = read_keys(path)
    named = [r for r in document.get("runs", []) if r.get("id") and r["id"] + ".tsv" == os.path.basename(path)]
    runs = [document["runs"][run_number]] if run_number is not None else named or matching_runs(document, meta)
    if len(runs) != 1:
        return problems + ["%s: %d runs of %s match scenario %s, generator %s, seed %s" % (
            path, len(runs), json_path, meta.get("scenario"), meta.get("generator"), meta.get("seed"))], 0
    found, count = compare(runs[0], rows, meta)
    return problems + ["%s: %s" % (os.path.basename(path), d) for d in found], count


def check_files(keys_path, json_path, run_number=None):
    """-> differences, comparisons, key files"""
    with open(json_path, encoding="utf-8") as stream:
        document = json.load(stream)
    paths = [keys_path]
    if os.path.isdir(keys_path):
        paths = sorted(os.path.join(keys_path, name) for name in os.listdir(keys_path))
        if not paths:
            raise Unreadable("%s: no key file" % keys_path)
    differences, compared = [], 0
    with concurrent.futures.ProcessPoolExecutor(min(os.cpu_count() or 1, len(paths))) as pool:
        for found, count in pool.map(check_file, paths, [document] * len(paths), [json_path] * len(paths), [run_number] * len(paths)):
            differences += found
            compared += count
    return differences, compared, len(paths)


# --- self-test ----------------------------------------------------------------------------------------------------------

def random_rows(rng, n, ordered=True):
    clock, free = [0, 0, 0], {}
    rows = []
    spread = rng.choice([1, 3, 50])
    keys = rng.choice([3, 20, 10**6])
    for _ in range(n):
        row = Row()
        row.node = rng.randrange(1, 4)
        row.process, row.incarnation, row.thread = rng.randrange(2), rng.randrange(2), rng.randrange(2)
        row.outcome = rng.choices(OUTCOMES, (20, 2, 1))[0]
        clock[row.node - 1] += rng.randrange(spread)
        row.due_ns = clock[row.node - 1]
        lane = (row.node, row.process, row.incarnation, row.thread)      # a thread makes one call after another
        row.call_ns = max(row.due_ns + rng.randrange(spread), free.get(lane, 0))
        row.return_ns = free[lane] = row.call_ns + rng.randrange(spread)
        row.key = row.order_key = row.order = row.embed_lo_ns = row.embed_hi_ns = row.parent = row.context = None
        if row.outcome == "lost":
            row.return_ns = None
        if row.outcome == "key":
            value = rng.randrange(keys) if rng.random() < 0.3 else row.call_ns
            row.key = b"%d" % value
            if ordered:
                row.order_key, row.order = row.key, value
            row.embed_lo_ns, row.embed_hi_ns = row.call_ns + rng.randrange(-9, 9), row.call_ns + 10
        rows.append(row)
    for seq, row in enumerate(rows):
        row.seq = seq
    rows.sort(key=lambda r: ((1, r.call_ns) if r.return_ns is None else (0, r.return_ns),) + r.identity())
    for number, row in enumerate(rows):
        row.number = number
        earlier = [r for r in rows[:number] if r.return_ns is not None]
        if earlier and rng.random() < 0.05:
            row.parent = rng.choice(earlier).number
    return rows


def naive_count_claim(rows, claim):
    """the definitions, word for word"""
    name, scope = re.split(r"[@(]", claim)[0], claim.split("@")[1]
    keys = [r for r in rows if r.outcome == "key"]
    if any(r.order is None for r in keys) and name in ("increasing", "sorted", "causal"):
        return None
    if name == "increasing":
        return sum(any(before(a, b) and a.order > b.order and group_of(a, scope) == group_of(b, scope) for a in keys) for b in keys)
    if name == "sorted":
        return sum(any(b.return_ns - a.return_ns > 3 and a.order > b.order and group_of(a, scope) == group_of(b, scope) for a in keys)
                   for b in keys)
    if name == "causal":
        base = parent_base(rows)
        pairs = [(rows[r.parent - base], r) for r in keys if r.parent is not None and base is not None]
        return sum(p.outcome == "key" and p.order >= r.order and group_of(p, scope) == group_of(r, scope) for p, r in pairs)
    if name == "clock":
        return sum(r.embed_lo_ns is not None and (r.embed_lo_ns > r.return_ns + 2 or r.call_ns > r.embed_hi_ns + 2) for r in keys)
    if any(r.outcome == "lost" for r in rows):
        return None
    return sum(r.outcome == "refuse" or r.return_ns > r.due_ns + 1 for r in rows)


def result_of(rows):
    metrics, verdicts = compute(rows, naive=True)
    claims = [{"claim": name, "verdict": "broken" if certain else "kept", "exposed": 1, "count": metrics["duplicates"][name[7:]]}
              for name, (certain, _) in verdicts.items() if name.startswith("unique@")]
    for name in ("increasing@", "sorted(3ns)@", "causal@", "clock(2ns)@", "available(1ns)@"):
        for scope in SCOPES:
            count = naive_count_claim(rows, name + scope)
            if count is not None:
                claims.append({"claim": name + scope, "verdict": "broken" if count else "kept", "exposed": 1, "count": count})
    expectations = [{"text": "duplicates@node: %d" % metrics["duplicates"]["node"], "met": True,
                     "value": metrics["duplicates"]["node"]},
                    {"text": "refusals: %d.." % (metrics["refusals"] + 1), "met": False, "value": metrics["refusals"]}]
    return {"calls": len(rows), "keys": sum(1 for r in rows if r.outcome == "key"), "metrics": metrics, "claims": claims,
            "expectations": expectations}


def plants(run):
    """every way in which one figure or verdict of a result can be wrong"""
    for name, value in run["metrics"].items():
        for scope in (value if isinstance(value, dict) else [None]):
            for change in (1, -1, None):
                wrong = json.loads(json.dumps(run))
                holder, field = (wrong["metrics"][name], scope) if scope else (wrong["metrics"], name)
                if change is None:
                    if name in DISORDER:
                        continue
                    del holder[field]
                else:
                    holder[field] += change
                yield "%s@%s %s" % (name, scope, change), wrong
    for name in ("calls", "keys"):
        yield name, dict(run, **{name: run[name] + 1})
    for at, claim in enumerate(run["claims"]):
        wrong = json.loads(json.dumps(run))
        wrong["claims"][at]["verdict"] = "kept" if claim["verdict"] == "broken" else "broken"
        yield claim["claim"], wrong
    for at, _ in enumerate(run["expectations"]):
        wrong = json.loads(json.dumps(run))
        wrong["expectations"][at]["met"] ^= True
        yield "expectation %d" % at, wrong


def write_keys(path, rows, meta):
    with open(path, "w", encoding="ascii") as stream:
        for name, value in meta.items():
            stream.write("# %s=%s\n" % (name, value))
        stream.write("\t".join(COLUMNS) + "\n")
        for row in rows:
            values = [getattr(row, name) for name in COLUMNS]
            stream.write("\t".join("" if v is None else v.decode() if isinstance(v, bytes) else str(v) for v in values) + "\n")


def self_test(seed, rounds):
    import tempfile
    failures = []

    def expect(condition, text):
        if not condition:
            failures.append(text)

    # known answers, by hand
    expect(decode("snowflake", b"1541815603606036480")[1] == 1656432460105 * 10**6, "snowflake known answer")
    expect(decode("uuidv7", b"017f22e2-79b0-7cc3-98c4-dc0c0c07398f")[1] == 1645557742000 * 10**6, "uuidv7 known answer")
    for generator, bad in (("uuidv7", b"017f22e2-79b0-4cc3-98c4-dc0c0c07398f"), ("counter", b"1"), ("snowflake", b"-1"),
                           ("unixmilli", b"01")):
        try:
            decode(generator, bad)
            expect(False, "%s accepts %r" % (generator, bad))
        except ValueError:
            pass
    expect(nearest_rank([5, 1, 3, 2], 50) == 2 and nearest_rank([5, 1, 3, 2], 99) == 5, "nearest rank")
    expect(nearest_rank(list(range(1, 101)), 99) == 99 and nearest_rank([7], 50) == 7, "nearest rank")
    expect(unescape(rb"a\x09\x5cb") == b"a\t\\b", "unescape")
    expect(parse_band("..5ms") == (None, 5000000) and parse_band("119..121") == (119, 121), "band")
    sequence = []
    for seq, (value, at) in enumerate([(1, 10), (4, 20), (2, 30), (3, 47), (5, 50), (5, 60)]):
        row = random_rows(random.Random(1), 1)[0]
        row.outcome, row.key, row.order_key, row.order = "key", b"%d" % value, b"%d" % value, value
        row.call_ns, row.return_ns, row.seq, row.number = at - 1, at, seq, seq
        sequence.append(row)
    for one_group in (fast_group, naive_group):
        expect(one_group(sequence) == {"duplicates": 1, "descents": 1, "below_max": 2, "displacement": 2, "late_ns_max": 27,
                                       "inversions": 2, "rem": 1}, "metrics by hand: %s" % one_group.__name__)

    rng = random.Random(seed)
    for number in range(rounds):
        rows = random_rows(rng, rng.randrange(0, 70), ordered=number % 7 != 6)
        fast, naive = compute(rows), compute(rows, naive=True)
        expect(fast == naive, "round %d: fast %r, naive %r" % (number, fast, naive))
    caught = 0
    for number in range(6):
        rows = random_rows(rng, 60)
        run = result_of(rows)
        expect(compare(run, rows)[0] == [], "round %d: differences in a correct result: %r" % (number, compare(run, rows)[0]))
        certain_only = {n for n, (c, p) in compute(rows)[1].items() if c != p}
        for name, wrong in plants(run):
            if name not in certain_only:
                expect(compare(wrong, rows)[0] != [], "round %d: planted error not caught: %s" % (number, name))
                caught += 1
    # absent is not zero
    rows = random_rows(rng, 30)
    for row in rows:
        row.embed_lo_ns = row.embed_hi_ns = None
    run = result_of(rows)
    expect("ahead_ns_max" not in run["metrics"], "ahead without embedded time")
    run["metrics"]["ahead_ns_max"] = 0
    expect(compare(run, rows)[0] != [], "planted error not caught: ahead_ns_max 0 where it must be absent")

    # through the files, with decoding
    with tempfile.TemporaryDirectory() as folder:
        start = 1768471200 * 10**9
        meta = {"schema": 1, "scenario": "x", "generator": "unixmilli", "seed": 3, "start_unix_ns": start, "compare": "numeric"}
        rows = random_rows(rng, 50)
        for row in rows:
            if row.outcome == "key":
                row.order = start // 10**6 + row.call_ns // 7
                row.key = row.order_key = b"%d" % row.order
                row.embed_lo_ns = row.order * 10**6 - start
                row.embed_hi_ns = row.embed_lo_ns + 10**6
        keys, result = os.path.join(folder, "k.tsv"), os.path.join(folder, "r.json")
        run = dict(result_of(rows), scenario="x", generator="unixmilli", seed=3)

        def differences(change=None, meta_change=None):
            for r in rows:
                r_old = {c: getattr(r, c) for c in COLUMNS}
                if change and r.outcome == "key":
                    change(r)
                    write_keys(keys, rows, dict(meta, **(meta_change or {})))
                    for c, v in r_old.items():
                        setattr(r, c, v)
                    break
            else:
                write_keys(keys, rows, dict(meta, **(meta_change or {})))
            with open(result, "w", encoding="utf-8") as stream:
                json.dump({"runs": [run]}, stream)
            return check_files(keys, result)[0]

        def shifted(r):
            r.embed_lo_ns += 1

        def misordered(r):
            r.order_key = b"1"
        expect(differences() == [], "correct files: %r" % differences())
        expect(differences(shifted) != [], "planted error not caught: embed_lo_ns")
        expect(differences(misordered) != [], "planted error not caught: order_key")
        expect(differences(None, {"seed": 4}) != [], "planted error not caught: seed")
        expect(differences(None, {"start_unix_ns": start + 1}) != [], "planted error not caught: start_unix_ns")
        swapped = rows[:]
        swapped[0], swapped[1] = swapped[1], swapped[0]
        write_keys(keys, swapped, meta)
        expect(read_keys(keys)[2] != [], "planted error not caught: rows out of fleet order")
    for failure in failures:
        print("FAIL " + failure)
    print("self-test: %d rounds, %d planted errors, %d failures" % (rounds, caught + 6, len(failures)))
    return 1 if failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--keys", metavar="FILE|DIR")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--run", type=int, metavar="N", help="compare with this run of the JSON (from 0) whatever its name")
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=300)
    options = parser.parse_args()
    if options.self_test:
        return self_test(options.seed, options.rounds)
    if not options.keys or not options.json:
        parser.error("--keys and --json are needed")
    try:
        differences, compared, files = check_files(options.keys, options.json, options.run)
    except (OSError, ValueError, KeyError, IndexError, Unreadable) as why:
        print("unreadable: %s" % why)
        return 2
    for difference in differences:
        print(difference)
    print("%d comparisons in %d key files, %d differences" % (compared, files, len(differences)))
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
