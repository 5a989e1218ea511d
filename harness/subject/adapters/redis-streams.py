# Starts a Redis server on a unix socket, in a folder of its own, and prints the id of an XADD every 2 ms.
#
# Redis with jemalloc hangs at its start under libfaketime: jemalloc reads a clock while it initialises, libfaketime then looks
# up the real function, and the dynamic linker allocates, in jemalloc. With libc's own allocator before it this does not happen.
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile


def end(*_):
    raise SystemExit


def connect(path, server):
    for _ in range(500):
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(path)
            return s
        except OSError:
            s.close()
            if server.poll() is not None:
                sys.exit("redis-server ended with status %d" % server.returncode)
            select.select([], [], [], 0.02)
    sys.exit("redis-server does not answer")


def run(folder):
    preload = ":".join(p for p in (os.environ.get("LD_PRELOAD"), "libc.so.6") if p)
    server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", folder + "/s", "--dir", folder, "--save", "",
                               "--appendonly", "no", "--loglevel", "warning"],
                              env=dict(os.environ, LD_PRELOAD=preload), stdout=sys.stderr)
    try:
        answers = connect(folder + "/s", server).makefile("rwb", buffering=0)
        while True:
            answers.write(b"XADD s MAXLEN 1 * k v\r\n")
            line = answers.readline()
            if not line.startswith(b"$"):
                sys.exit("redis said %r" % line)
            print(answers.readline().decode().strip(), flush=True)
            select.select([], [], [], 0.002)
    finally:
        server.kill()
        server.wait()


signal.signal(signal.SIGTERM, end)
folder = tempfile.mkdtemp(prefix="ks-redis-")
try:
    run(folder)
except BrokenPipeError:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
finally:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # whoever ends us may say so twice: by the pipe, and by a signal
    shutil.rmtree(folder, ignore_errors=True)
