# postgres.py --init CACHE            makes an empty cluster: what initdb takes seconds for is done once
# postgres.py CACHE PREPARE QUERY     starts a PostgreSQL server on a unix socket, on a copy of it in a folder of its own, and prints
#                                     what QUERY gives every 2 ms
#
# The server does not run as root: then it becomes the user postgres. It keeps nothing in /dev/shm, where it would stay behind when
# the server is killed.
import glob
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile


def end(*_):
    raise SystemExit


def start(args, user, **more):
    return subprocess.Popen(args, user=user.pw_uid, group=user.pw_gid, extra_groups=[], cwd="/", stdout=sys.stderr, **more)


def initialise(folder, programs, user, cache):
    data = folder + "/data"
    init = start([programs + "/initdb", "--no-sync", "--no-instructions", "--auth=trust", "--username=postgres", "-D", data], user,
                 stdin=subprocess.DEVNULL)
    try:
        if init.wait():
            sys.exit("initdb ended with status %d" % init.returncode)
    finally:
        init.wait()  # told to end with us, it puts its shared memory away
    new = "%s.%d" % (cache, os.getpid())
    subprocess.run(["cp", "-a", data, new], check=True)
    try:
        os.rename(new, cache)
    except OSError:  # another one was faster
        shutil.rmtree(new)


def run(folder, programs, user, cache, prepare, query):
    plain = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD" and not k.startswith("FAKETIME")}
    data = folder + "/data"
    subprocess.run(["cp", "-a", cache, data], check=True, env=plain)
    server = start([programs + "/postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off",
                    "-c", "dynamic_shared_memory_type=mmap",
                    "-c", "log_min_messages=error"], user, stdin=subprocess.DEVNULL)
    client = None
    try:
        psql = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", folder, "-U", "postgres", "postgres"]
        for _ in range(500):
            if subprocess.run(psql + ["-c", prepare], env=plain, stderr=subprocess.DEVNULL).returncode == 0:
                break
            if server.poll() is not None:
                sys.exit("postgres ended with status %d" % server.returncode)
            select.select([], [], [], 0.05)
        else:
            sys.exit("postgres does not answer, or not to: " + prepare)
        client = subprocess.Popen(psql, env=plain, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        while True:
            client.stdin.write((query + ";\n").encode())
            line = client.stdout.readline()
            if not line:
                sys.exit("psql ended")
            os.write(1, line)
            select.select([], [], [], 0.002)
    finally:
        if client:
            client.kill()
            client.wait()
        server.send_signal(signal.SIGINT)  # a fast shutdown, which takes its children along
        try:
            server.wait(5)
        except subprocess.TimeoutExpired:
            server.send_signal(signal.SIGQUIT)
            server.wait()


signal.signal(signal.SIGTERM, end)
user = pwd.getpwnam("postgres") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
# a folder for temporary files of root alone is closed to the server
folder = tempfile.mkdtemp(prefix="ks-postgres-", dir="/tmp" if os.getuid() == 0 else None)
try:
    os.chown(folder, user.pw_uid, user.pw_gid)
    clock = os.environ.get("FAKETIME_TIMESTAMP_FILE")
    if clock and os.getuid() == 0:
        os.chmod(os.path.dirname(clock), 0o711)  # so that the server can read its clock
    if sys.argv[1] == "--init":
        initialise(folder, programs, user, sys.argv[2])
    else:
        run(folder, programs, user, *sys.argv[1:4])
except BrokenPipeError:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
finally:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # whoever ends us may say so twice: by the pipe, and by a signal
    shutil.rmtree(folder, ignore_errors=True)
