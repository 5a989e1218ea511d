#!/usr/bin/env python3
"""The page, in a headless Chromium as a person uses it: from file://, with keys, at three widths, light, dark and printed. What it shows is
held to result.json, not to what its own script says.

  page_test.py PROGRAM [FOLDER]       FOLDER: where screenshots go, to be looked at (default: none are kept)

KEYSKEW_TEST_LONG=1: also the page of the nightly suite, its size and the time that it takes."""

import json
import os
import re
import resource
import subprocess
import sys
import tempfile

import browser

GENERATORS = ["snowflake", "snowflake:unchecked", "snowflake:ms20", "uuidv7", "uuidv7:counter", "unixmilli", "counter", "ulid", "hlc", "milli-rand32",
              "trace-id:equal", "lamport"]
SCENARIOS = ["steady", "ntp-step-back", "ntp-step-forward", "zone-offset", "gc-pause"]
WIDTHS = (390, 820, 1400)
PAGE_BYTES = 5 << 20


def run(program, *words, code=(0, 1), **how):
    done = subprocess.run([program] + list(words), capture_output=True, text=True, **how)
    assert done.returncode in code, "keyskew %s: exit %d: %s" % (" ".join(words), done.returncode, done.stderr[-500:])
    return done.stdout


def letter(r):
    if r["status"] == "failed":
        return "F"
    verdicts = [c["verdict"] for c in r.get("claims", [])]
    return "B" if "broken" in verdicts else "K" if "kept" in verdicts else "U"


VISIBLE = "[...document.querySelectorAll('%s')].filter(x => x.offsetParent)"


class Page:
    def __init__(self, b, path):
        self.b = b
        self.folder = os.path.dirname(path)
        with open(os.path.join(self.folder, "result.json"), encoding="utf-8") as f:
            self.runs = json.load(f)["runs"]
        b.said.clear()
        b.fetched.clear()
        b.open(path)

    def shown(self):
        """What a reader sees: (scenario, world, what it is about, generator, letter) of the matrix, and how many runs the list has."""
        cells = self.b.js(VISIBLE % ".box a.chip" + ".map(a => [a.closest('tr').dataset.s, a.closest('tr').dataset.w, "
                          "a.closest('tr').querySelector('.about').textContent, document.querySelectorAll('.box thead th')"
                          "[a.closest('td').cellIndex].dataset.g, a.textContent])")
        return sorted(map(tuple, cells)), self.b.js(VISIBLE % "details.run > summary" + ".length")

    def should(self, wanted):
        runs = [r for r in self.runs if wanted(r)]
        cells = {}
        for r in runs:
            rank = "UKBF".index(letter(r))
            at = (r["scenario"], r["world"], r["about"], r["generator"])
            cells[at] = max(cells.get(at, 0), rank)
        return sorted(at + ("UKBF"[rank],) for at, rank in cells.items()), len(runs)

    def held(self, what, wanted):
        shown, should = self.shown(), self.should(wanted)
        assert shown == should, "%s: shown but should not be %s, not shown %s; runs %d, should be %d" % (
            what, sorted(set(shown[0]) - set(should[0]))[:5], sorted(set(should[0]) - set(shown[0]))[:5], shown[1], should[1])
        heads = self.b.js(VISIBLE % ".box thead th[data-g]" + ".map(th => th.dataset.g)")
        used = {c[3] for c in should[0]}
        assert set(heads) == used, "%s: columns of %s, of use are %s" % (what, heads, sorted(used))

    def choose(self, **values):
        for name, value in values.items():
            self.b.js("(() => { const s = document.getElementById('by-%s'); s.value = %s; s.dispatchEvent(new Event('input', {bubbles: true})); "
                      "if (s.value !== %s) throw 'no such choice'; })()" % (name, json.dumps(value), json.dumps(value)))

    def clean(self):
        bad = [u for u in self.b.fetched if not re.match(r"(file|data|about|blob):", u)]
        assert not bad, "the page fetches %s" % bad[:3]
        assert not self.b.said, "the console says %s" % self.b.said[:3]


def filters(p):
    everything = lambda r: True
    p.held("no filter", everything)
    p.choose(s="ntp-step-back")
    p.held("a scenario", lambda r: r["scenario"] == "ntp-step-back")
    p.choose(g="snowflake:*")
    p.held("a scenario and a family", lambda r: r["scenario"] == "ntp-step-back" and r["generator"].split(":")[0] == "snowflake")
    p.choose(s="", g="snowflake:ms20")
    p.held("a generator", lambda r: r["generator"] == "snowflake:ms20")
    p.choose(g="")
    for v in "KB":
        p.choose(v=v)
        p.held("verdict " + v, lambda r: letter(r) == v)
    p.choose(v="!")
    p.held("not as expected", lambda r: not r["as_expected"])
    p.b.js("document.querySelector('#filter button[type=reset]').click()")
    p.b.settle()
    p.held("after all", everything)


def sorting(p):
    b = p.b
    names = VISIBLE % ".box tbody tr[data-s]" + ".map(tr => tr.dataset.s)"
    before = b.js(names)
    choose = "(() => { const s = document.getElementById('sort'); s.value = '%s'; s.dispatchEvent(new Event('input', {bubbles: true})); })()"
    b.js(choose % "name")
    assert b.js(names) == sorted(before), b.js(names)
    b.js(choose % "worst")
    worst = {}
    for r in p.runs:
        rank = 0 if not r["as_expected"] else 1 + "FBUK".index(letter(r))
        worst[r["scenario"]] = min(worst.get(r["scenario"], 9), rank)
    ranks = [worst[n] for n in b.js(names)]
    assert ranks == sorted(ranks), ranks
    b.js(choose % "")
    assert b.js(names) == before
    b.js("document.querySelector('.box th[data-g=unixmilli] button').click()")
    column = "(() => { const at = document.querySelector('.box th[data-g=unixmilli]').cellIndex; return " + VISIBLE % ".box tbody tr[data-s]" + \
             ".map(tr => tr.cells[at].textContent) })()"
    letters = ["FBUK".index(c) if c else 9 for c in b.js(column)]
    assert letters == sorted(letters), letters
    b.js("document.querySelector('.box th[data-g=unixmilli] button').click()")
    assert b.js(names) == before


def keys(p):
    b = p.b
    focus = "document.activeElement.%s"
    b.js("document.activeElement.blur()")
    b.press("/")
    assert b.js(focus % "id") == "find", "/ does not search"
    b.type("back unixmilli")
    p.held("words", lambda r: "back" in r["scenario"] + r["about"] and r["generator"] == "unixmilli")
    b.press("Escape")
    b.settle()
    p.held("after Escape", lambda r: True)
    b.js("document.activeElement.blur()")
    for _ in range(40):  # tabs lead into the matrix, and not through each of its cells
        b.press("Tab")
        if b.js(focus % "matches('.box a')"):
            break
        outline = b.js("(() => { const c = getComputedStyle(document.activeElement); return parseFloat(c.outlineWidth) })()")
        assert outline > 0, "no outline around " + b.js(focus % "outerHTML")[:200]
    assert b.js(focus % "matches('.box a')"), "tabs do not lead into the matrix"
    at = "[document.activeElement.closest('tr').dataset.s, document.activeElement.closest('td').cellIndex]"
    first = b.js(at)
    b.press("ArrowDown")
    assert b.js(at)[0] != first[0] and b.js(at)[1] == first[1], b.js(at)
    b.press("ArrowRight")
    assert b.js(at)[1] > first[1], b.js(at)
    b.press("ArrowUp")
    b.press("ArrowLeft")
    assert b.js(at) == first, b.js(at)
    b.press("Enter")
    b.until("document.querySelector('details.run[open]') && document.activeElement.matches('details.run[open] > summary')")
    assert b.js(focus % "parentElement.dataset.s") == first[0]
    top = b.js(focus % "getBoundingClientRect().top")
    assert 0 <= top < 400, "the run that was opened is not in sight: %s" % top
    b.press("ArrowDown")
    assert b.js(focus % "matches('details.run:not([open]) > summary')"), "arrows do not lead along the runs"


def links(p):
    b = p.b
    dead = b.js("[...document.querySelectorAll('a[href]')].map(a => a.getAttribute('href')).filter(h => !h.startsWith('#') || "
                "!document.getElementById(decodeURIComponent(h.slice(1))))")
    assert not dead, "links to nothing: %s" % dead[:3]
    shut = b.js("""(async () => {
        const bad = [], all = new Set([...document.querySelectorAll('.box a, a[href^="#scenario-"]')].map(a => a.hash));
        for (const hash of [...all].filter((h, i) => i % Math.ceil(all.size / 80) === 0)) {
            const at = document.getElementById(hash.slice(1)).closest('details');
            const turned = new Promise(r => addEventListener('hashchange', () => setTimeout(r), {once: true}));
            location.hash = hash;
            await turned;
            if (!at.open) bad.push(hash);
            at.open = false;
        }
        return bad;
    })()""")
    assert not shut, "links do not open %s" % shut[:3]


def pictures(p):
    b = p.b
    assert b.js("document.querySelectorAll('script.pack').length") > 2, "so many pictures are packed"
    b.js("document.querySelectorAll('details.run').forEach(d => { d.open = true })")
    b.until("!document.querySelector('figure[data-pack]')")
    b.js("Promise.all([...document.images].map(i => i.decode().catch(() => 0)))")
    images = b.js("[...document.images].map(i => [i.naturalWidth, i.src.slice(0, 5)])")
    planned = sum(name.endswith(".svg") for r in p.runs for name in os.listdir(os.path.join(p.folder, "runs", r["id"])))
    assert len(images) >= planned > 0, "%d pictures in the page, %d plots" % (len(images), planned)
    assert all(width > 0 for width, _ in images), "%d pictures do not show" % sum(not w for w, _ in images)
    assert all(src == "data:" for _, src in images), "pictures are not in the page"
    b.js("document.querySelectorAll('details.run').forEach(d => { d.open = false })")


CONTRAST = """(() => {
    const rgb = text => text.match(/[\\d.]+/g).map(Number), lin = v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    const light = c => .2126 * lin(c[0]) + .7152 * lin(c[1]) + .0722 * lin(c[2]), bad = [];
    for (const e of document.querySelectorAll('h1, p, td, th, summary, a, button, b, .chip, .soft, .about, label')) {
        if (!e.offsetParent || !e.textContent.trim()) continue;
        let at = e, back = rgb(getComputedStyle(at).backgroundColor);
        while (back[3] === 0 && (at = at.parentElement)) back = rgb(getComputedStyle(at).backgroundColor);
        const a = light(rgb(getComputedStyle(e).color)), b = light(back), ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
        if (ratio < 4.5) bad.push(e.outerHTML.slice(0, 80) + ' ' + ratio.toFixed(2));
    }
    return bad;
})()"""


def looks(p, shots):
    b = p.b
    b.js("history.replaceState(null, '', location.pathname); scrollTo(0, 0)")
    for dark in (False, True):
        b.media(dark=dark)
        b.settle()
        bad = b.js(CONTRAST)
        assert not bad, "hard to read (%s): %s" % ("dark" if dark else "light", bad[:4])
        for width in WIDTHS:
            b.size(width, 1000)
            b.settle()
            wide = b.js("document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, "at %d px the page is %d px too wide" % (width, wide)
            stays = b.js("(() => { const box = document.querySelector('.box'), th = box.querySelector('tbody th[scope=row]'), "
                         "head = box.querySelector('thead th:last-child'); const at = th.getBoundingClientRect().left, top = head.getBoundingClientRect().top; "
                         "box.scrollLeft = 1e4; box.scrollTop = 1e4; const r = [th.getBoundingClientRect().left - at, head.getBoundingClientRect().top - top, "
                         "head.getBoundingClientRect().right - box.getBoundingClientRect().right]; box.scrollLeft = box.scrollTop = 0; return r })()")
            assert abs(stays[0]) < 1 and abs(stays[1]) < 1 and stays[2] < 2, "heads do not stay, or columns are cut: %s" % stays
            if shots:
                b.screenshot(os.path.join(shots, "page-%d-%s.png" % (width, "dark" if dark else "light")))
    b.media()
    b.size(1400, 1000)
    whole = b.js("[...document.querySelectorAll('.chip')].filter(c => !'KBUF'.includes(c.textContent) || !c.textContent).length")
    assert whole == 0, "verdicts without a letter are for those who see colours"


def printed(p, shots):
    b = p.b
    b.media("print")
    b.size(1045, 1400)  # A4, across, without its margins
    b.settle()
    fits = b.js("[getComputedStyle(document.getElementById('filter')).display, document.querySelector('.box').scrollWidth - innerWidth, "
                "getComputedStyle(document.querySelector('.box')).overflowX]")
    assert fits[0] == "none" and fits[1] <= 0 and fits[2] == "visible", fits
    b.media()
    if shots:
        b.pdf(os.path.join(shots, "page.pdf"), preferCSSPageSize=True)


def without_script(p):
    b = p.b
    b.call("Emulation.setScriptExecutionDisabled", value=True)
    b.open(os.path.join(p.folder, "index.html"))
    text = b.call("Runtime.evaluate", expression="document.body.innerText", returnByValue=True)["result"]["value"]
    assert "as expected" in text and "unixmilli" in text and "words (press /)" not in text
    assert b.js("getComputedStyle(document.getElementById('filter')).display") == "none"
    b.call("Emulation.setScriptExecutionDisabled", value=False)


def beside(b, program, folder):
    """What changed, and the results so far, held to keyskew diff and history."""
    here = {"cwd": folder, "env": dict(os.environ, KEYSKEW_HISTORY=os.path.join(folder, "history.db"))}
    words = ["run", "ntp-step-back", "-g", "snowflake,unixmilli", "--seeds", "1..3"]
    run(program, *words, "-o", "one", **here)
    run(program, *words, "-o", "two", **here)
    p = Page(b, os.path.join(folder, "two/index.html"))
    assert "nothing" in b.js("document.querySelector('#changes p').textContent")
    assert b.js("document.querySelectorAll('#trends tbody tr').length") == 2
    run(program, *words, "--set", "faults.back.step=-50ms", "-o", "other", **here)
    run(program, "report", "other", "--base", "one", **here)
    diff = json.loads(run(program, "diff", "one", "other", "--json", **here))
    p = Page(b, os.path.join(folder, "other/index.html"))
    lines = b.js("[...document.querySelectorAll('#changes tbody tr')].map(tr => [...tr.cells].slice(0, 2).map(td => td.textContent.trim()).join(' '))")
    should = [" ".join([d["scenario"], d["generator"], d["world"], d["subject"]]) for d in diff["differences"] if d["subject"]]
    assert should and not set(should) - set(lines), (lines, should)
    assert str(diff["summary"]["regressions"]) + " regression" in b.js("document.querySelector('#changes p').textContent")
    p.clean()
    done = subprocess.run([program, "run", "steady", "--base", "nowhere", "-o", "three"], capture_output=True, text=True, **here)
    assert done.returncode == 2 and "nowhere" in done.stderr and not os.path.exists(os.path.join(folder, "three")), done


def compared(b, program, folder):
    run(program, "compare", "-g", "snowflake,unixmilli", "ntp-step-back", "--sweep", "faults.back.step=-10ms,-50ms", "-o", "compared", code=(0,), cwd=folder)
    p = Page(b, os.path.join(folder, "compared/index.html"))
    assert b.js("document.querySelector('h1').textContent") == "2 generators, side by side"
    pictures_there = [n for n in os.listdir(p.folder) if n.endswith(".svg")]
    assert pictures_there and b.js("document.querySelectorAll('#compare figure img').length") == len(pictures_there)
    p.clean()


def worlds(b, program, folder):
    """libfaketime cannot carry a slew for these: nothing runs in real time, and the page has a second world, untested."""
    run(program, "run", "ntp-slew", "-g", "nanotime,mono-offset", "-w", "sim,faketime", "-o", "worlds", code=(0, 1, 3), cwd=folder)
    p = Page(b, os.path.join(folder, "worlds/index.html"))
    for world in ("faketime", "sim", ""):
        p.choose(w=world)
        p.held("world " + world, lambda r: world in ("", r["world"]))
    p.clean()


def nightly(b, program, folder):
    run(program, "run", "nightly", "-w", "sim", "-j2", "-o", "nightly", code=(0,), cwd=folder)
    cpu = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])  # others may be at work here: what it takes on one core
    begun = cpu()
    run(program, "report", "nightly", code=(0,), cwd=folder)
    took = cpu() - begun
    path = os.path.join(folder, "nightly/index.html")
    size = os.path.getsize(path)
    print("  nightly: the page has %.2f MB and takes %.1f s of CPU time" % (size / 1e6, took))
    assert size < PAGE_BYTES, size
    assert took < 20 * float(os.environ.get("KEYSKEW_TEST_SCALE", "1")), took
    p = Page(b, path)
    filters(p)
    links(p)
    looks(p, None)
    printed(p, None)
    p.clean()


def main():
    program = os.path.abspath(sys.argv[1])
    shots = sys.argv[2] if len(sys.argv) > 2 else None
    chromium = browser.find()
    if not chromium:
        print("skipped: no chromium here; apt-get install chromium")
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="keyskew-page-") as folder, browser.Browser(chromium) as b:
        b.call("Network.enable")
        b.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
        run(program, "run", *SCENARIOS, "-g", ",".join(GENERATORS), "-j2", "-o", "out", cwd=folder)
        p = Page(b, os.path.join(folder, "out/index.html"))
        b.size(1400, 1000)
        for check in (filters, sorting, keys, links, pictures):
            check(p)
            print("ok   " + check.__name__)
        looks(p, shots)
        printed(p, shots)
        p.clean()
        without_script(p)
        print("ok   looks, printed, without_script")
        beside(b, program, folder)
        compared(b, program, folder)
        worlds(b, program, folder)
        print("ok   beside, compared, worlds")
        if os.environ.get("KEYSKEW_TEST_LONG") == "1":
            nightly(b, program, folder)
            print("ok   nightly")


main()
