#!/usr/bin/env python3
"""Tests over the source itself: sim/ never touches the host, and folders depend on each other in one direction only.

  source_test.py ROOT        0 clean and every planted violation was caught, 1 otherwise

A check that cannot fail is a defect: each rule is proven on a copy of the tree with a violation planted in it, and on
harmless text (comments, strings, members of the same name) that must not be caught. Standard library only.
"""
import os
import re
import shutil
import sys
import tempfile

# Calls that reach the host: its clock, its random source, its files, its output, its environment, other processes.
HOST_CALLS = """
time clock clock_gettime clock_getres clock_nanosleep gettimeofday timespec_get times localtime localtime_r gmtime gmtime_r
mktime sleep usleep nanosleep rand rand_r srand random srandom random_r drand48 lrand48 mrand48 erand48 nrand48 jrand48 srand48
arc4random arc4random_buf arc4random_uniform getrandom getentropy
fopen freopen fdopen fmemopen tmpfile open open64 openat creat read pread readv write pwrite writev close fclose fread fwrite
fgets fgetc getc getchar getline scanf fscanf fflush fseek fsync stat fstat lstat unlink rename mkdir opendir mkstemp
printf fprintf vprintf vfprintf dprintf vdprintf puts fputs putchar putc fputc perror syslog
getenv secure_getenv setenv putenv system popen fork vfork execv execve execvp execl execlp posix_spawn getpid gettid gethostname
uname socket connect accept send recv ioctl syscall sched_yield getauxval
""".split()
HEAP_CALLS = """malloc calloc realloc reallocarray free mmap munmap mremap posix_memalign aligned_alloc memalign valloc sbrk
strdup strndup asprintf vasprintf open_memstream sysconf""".split()    # sysconf: the size of a page
HEAP_HEADERS = ["unistd.h"]
HEAP_FILE = "sim/core/mem.c"
# Also caught without a call (a function pointer): these have no other meaning.
HOST_NAMES = """clock_gettime gettimeofday getrandom getentropy fopen getenv stdout stderr stdin environ
__DATE__ __TIME__ __TIMESTAMP__ __rdtsc __rdtscp _rdrand64_step __builtin_ia32_rdtsc __builtin_readcyclecounter""".split()
HEAP_NAMES = "malloc calloc realloc mmap".split()
HOST_HEADERS = """math.h tgmath.h complex.h fenv.h time.h sys/time.h sys/random.h fcntl.h unistd.h sys/stat.h sys/socket.h dirent.h
sys/syscall.h sys/auxv.h x86intrin.h""".split()
FLOAT_NAMES = "double float _Float16 _Float32 _Float64 _Float128 __float128 _Complex".split()
INSTRUCTIONS = "rdtsc rdtscp rdrand rdseed syscall".split()

FOLDERS = ("sim", "harness", "reports")
ENV_REAL = ("sim/keygen/env.h", "env_real.h")    # the one place where sim/ names a header of the harness, under KS_ENV_REAL

STRING_OR_COMMENT = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.S)


def without_comments(text):
    text = text.replace("\\\n", " \n")
    return STRING_OR_COMMENT.sub(lambda m: m[0] if m[0][0] in "\"'" else " " + "\n" * m[0].count("\n"), text)


def without_strings(text):
    return STRING_OR_COMMENT.sub(lambda m: m[0][0] + m[0][0], text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def sources(root):
    """paths below ROOT of every .c and .h that is no test"""
    for top in FOLDERS:
        for folder, folders, names in os.walk(os.path.join(root, top)):
            folders[:] = sorted(f for f in folders if f != "tests")
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(folder, name), root)


def folder_of(path):
    """'sim/core', 'harness/world', 'reports': the unit of the dependency order"""
    parts = path.split("/")
    return parts[0] if parts[0] == "reports" or len(parts) < 3 else "/".join(parts[:2])


def may_include(folder, target):
    if folder == target:
        return True
    if folder in ("sim/core", "reports"):
        return target == "sim/core"
    if folder.startswith("sim"):
        return target.startswith("sim/")
    if folder == "harness/cli":
        return True
    if target in ("harness/cli", "reports"):
        return False
    return {folder, target} != {"harness/world", "harness/check"}


def check_host(path, code, code_with_strings, found):
    def each(pattern, what, text=code):
        for match in re.finditer(pattern, text):
            found.append((path, line_of(text, match.start()), what % match[1]))

    calls = HOST_CALLS + ([] if path == HEAP_FILE else HEAP_CALLS)
    names = HOST_NAMES + ([] if path == HEAP_FILE else HEAP_NAMES)
    no_member = r"(?<!\.)(?<!->)(?<!\. )(?<!-> )"
    each(no_member + r"\b(%s)\s*\(" % "|".join(calls), "host: call of %s")
    each(no_member + r"\b(%s)\b(?!\s*\()" % "|".join(names), "host: use of %s")
    each(r"\b(%s)\b" % "|".join(FLOAT_NAMES), "float: type %s")
    each(r"(?<![\w.])(\d+\.\d*(?:[eE][+-]?\d+)?|\.\d+|\d+[eE][+-]?\d+)[fFlL]?(?![\w.])", "float: literal %s")
    headers = [h for h in HOST_HEADERS if path != HEAP_FILE or h not in HEAP_HEADERS]
    each(r"(?m)^[ \t]*#[ \t]*include[ \t]*<(%s)>" % "|".join(map(re.escape, headers)), "host: header %s", code_with_strings)
    for match in re.finditer(r'"[^"\n]*\b(%s)\b[^"\n]*"' % "|".join(INSTRUCTIONS), code_with_strings):
        before = code_with_strings[max(0, match.start() - 400):match.start()]
        if re.search(r"\b(asm|__asm__)\b[^;]*$", before):
            found.append((path, line_of(code_with_strings, match.start()), "host: instruction %s" % match[1]))


def check_order(root, path, code_with_strings, headers, found):
    folder = folder_of(path)
    for match in re.finditer(r'(?m)^[ \t]*#[ \t]*include[ \t]*["<]([^">\n]+)[">]', code_with_strings):
        name = match[1]
        beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
        if os.path.exists(os.path.join(root, beside)):
            targets = {folder_of(beside)}
        else:
            targets = headers.get(os.path.basename(name), set())
        if (path, os.path.basename(name)) == ENV_REAL:
            guarded = re.search(r"(?m)^[ \t]*#[ \t]*(?:if|ifdef|elif)\b[^\n]*\bKS_ENV_REAL\b", code_with_strings[:match.start()])
            if guarded:
                continue
            found.append((path, line_of(code_with_strings, match.start()), "order: env_real.h outside KS_ENV_REAL"))
            continue
        for target in sorted(targets if folder not in targets else ()):
            if not may_include(folder, target):
                found.append((path, line_of(code_with_strings, match.start()), "order: %s includes %s of %s" % (folder, name, target)))


def violations(root):
    paths = list(sources(root))
    headers = {}
    for path in paths:
        if path.endswith(".h"):
            headers.setdefault(os.path.basename(path), set()).add(folder_of(path))
    found = []
    for path in paths:
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as stream:
            with_strings = without_comments(stream.read())
        if path.startswith("sim/"):
            check_host(path, without_strings(with_strings), with_strings, found)
        check_order(root, path, with_strings, headers, found)
    return paths, found


# --- proof --------------------------------------------------------------------------------------------------------------

def plants():
    """(file, text appended, word the report must contain, or None: must stay clean)"""
    c, mem = "sim/clock/planted.c", HEAP_FILE
    for name in HOST_CALLS + HEAP_CALLS:
        yield c, "long planted(void) { return (long)%s(0); }" % name, "call of " + name
    for name in HOST_NAMES + HEAP_NAMES:
        yield c, "void *planted = (void *)%s;" % name, "use of " + name
    for name in FLOAT_NAMES:
        yield c, "static %s planted;" % name, "type " + name
    for name in HOST_HEADERS:
        yield c, "#pragma once\n# include <%s>" % name, "header " + name
    for text in ("1.5", "1e9", ".5", "2."):
        yield c, "long planted = (long)%s;" % text, "literal"
    yield c, '#define PLANTED(x) \\\n  time(x)', "call of time"
    yield c, 'void planted(void) { __asm__ volatile("rdtsc" ::: "memory"); }', "instruction rdtsc"
    yield c, '/* " */ long planted(void) { return time(0); } /* " */', "call of time"
    yield c, "char q = '\"'; long planted(void) { return time(0); } char r = '\"';", "call of time"
    yield "sim/core/planted.h", "static inline void planted(void) { printf(\"x\"); }", "call of printf"
    yield "sim/engine/deep/planted.c", "void *planted(void) { return malloc(1); }", "call of malloc"
    yield "sim/keygen/planted.c", "int planted(void) { return rand (); }", "call of rand"
    # clean
    yield c, "// time(0) malloc(1) double\n/* fopen(\n\"x\") float */", None
    yield c, 'const char *planted = "time(0) \\" malloc(1) double 1.5 rdtsc";', None
    yield c, "int planted(char *b) { return snprintf(b, 1, \"%d\", 0x1e9); }", None
    yield c, "void planted(struct env *e) { e->random(e); e->clock(e, 1); e->ops.read(e); ks_time(1); my_open(); }", None
    yield c, "struct planted { int64_t (*clock)(int); int time, random, free; };", None
    yield mem, "void *planted(void) { void *p = malloc(1); free(p); return mmap(0, 1, 0, 0, 0, 0); }", None
    yield mem, "#include <unistd.h>\nlong planted(void) { return sysconf(1); }", None
    yield mem, "long planted(void) { return time(0); }", "call of time"
    yield "sim/clock/tests/planted.c", "long planted(void) { return time(0); }", None
    yield "harness/world/planted.c", "long planted(void) { return time(0); }", None
    # the order of folders: a header is planted in each folder, and each folder includes each
    folders = ["sim/core", "sim/clock", "sim/keygen", "sim/engine", "harness/plan", "harness/world", "harness/subject",
               "harness/check", "harness/consumer", "harness/store", "harness/cli", "reports"]
    for folder in folders:
        for target in folders:
            wrong = None
            if folder != target:
                low = folder in ("sim/core", "reports")
                if (low and target != "sim/core") or (folder.startswith("sim/") and not target.startswith("sim/")) \
                        or (folder.startswith("harness/") and folder != "harness/cli" and target in ("harness/cli", "reports")) \
                        or sorted((folder, target)) == ["harness/check", "harness/world"]:
                    wrong = "order: %s includes" % folder
            yield folder + "/planted.c", '#include "%s_planted.h"' % target.replace("/", "_"), wrong
    yield "sim/core/planted.c", '#include "../../harness/world/harness_world_planted.h"', "order: sim/core includes"
    yield "sim/core/planted.c", "#include <harness_world_planted.h>", "order: sim/core includes"
    yield "sim/keygen/env.h", '#if defined(KS_ENV_REAL)\n#include "env_real.h"\n#endif', None
    yield "sim/keygen/env.h", '#include "harness_world_planted.h"', "order: sim/keygen includes"
    yield "sim/keygen/planted.c", '#include "env_real.h"', "order: sim/keygen includes"


def prove(failures):
    """each plant in a small tree of its own, so that the proof does not depend on what the project holds today"""
    count = 0
    with tempfile.TemporaryDirectory() as root:
        for path, text, expected in plants():
            shutil.rmtree(root)
            for folder in ("sim/core", "sim/clock", "sim/keygen", "sim/engine", "harness/plan", "harness/world",
                           "harness/subject", "harness/check", "harness/consumer", "harness/store", "harness/cli", "reports"):
                os.makedirs(os.path.join(root, folder))
                with open(os.path.join(root, folder, folder.replace("/", "_") + "_planted.h"), "w", encoding="ascii") as stream:
                    stream.write("#pragma once\n")
            with open(os.path.join(root, "harness/subject/env_real.h"), "w", encoding="ascii") as stream:
                stream.write("#pragma once\n")
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="ascii") as stream:
                stream.write(text + "\n")
            found = violations(root)[1]
            count += 1
            if expected is None and found:
                failures.append("harmless text caught: %r in %s: %s" % (text, path, found[0][2]))
            if expected is not None and not any(expected in f[2] for f in found):
                failures.append("planted violation not caught: %r in %s" % (text, path))
            if expected is not None and any(f[0] != path for f in found):
                failures.append("violation reported elsewhere: %r in %s: %r" % (text, path, found))
    return count


def prove_in_copy(source, failures):
    """the same check on a copy of the real tree: it must see what is planted among real files"""
    with tempfile.TemporaryDirectory() as root:
        for top in FOLDERS:
            if os.path.isdir(os.path.join(source, top)):
                shutil.copytree(os.path.join(source, top), os.path.join(root, top))
        paths, before = violations(root)
        victims = [p for p in paths if p.startswith("sim/") and p != HEAP_FILE]
        for victim in victims:
            full = os.path.join(root, victim)
            with open(full, encoding="utf-8", errors="replace") as stream:
                text = stream.read()
            with open(full, "a", encoding="utf-8") as stream:
                stream.write("\nstatic inline long planted_here(void) { return time(0); }\n")
            after = violations_of(root, victim)
            if len(after) != 1 + sum(1 for f in before if f[0] == victim and f[2].startswith(("host", "float"))):
                failures.append("planted violation not caught at the end of %s" % victim)
            with open(full, "w", encoding="utf-8") as stream:
                stream.write(text)
        return len(victims)


def violations_of(root, path):
    found = []
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as stream:
        with_strings = without_comments(stream.read())
    check_host(path, without_strings(with_strings), with_strings, found)
    return found


def main():
    if len(sys.argv) != 2 or not os.path.isdir(os.path.join(sys.argv[1], "sim")):
        print("usage: source_test.py ROOT (the folder that holds sim/)")
        return 2
    failures = []
    planted = prove(failures)
    copied = prove_in_copy(sys.argv[1], failures)
    paths, found = violations(sys.argv[1])
    checked = [p for p in paths if p.startswith("sim/")]
    if not checked:
        failures.append("no source below sim/: nothing was checked")
    for path, line, what in found:
        print("%s:%d: %s" % (path, line, what))
    for failure in failures:
        print("FAIL " + failure)
    print("%d files of sim/ and %d others, %d violations; proof: %d plants, %d files of a copy, %d failures"
          % (len(checked), len(paths) - len(checked), len(found), planted, copied, len(failures)))
    return 1 if found or failures else 0


if __name__ == "__main__":
    sys.exit(main())
