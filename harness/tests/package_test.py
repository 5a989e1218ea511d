#!/usr/bin/env python3
"""The Debian package: made, unpacked elsewhere, and used from there.

  package_test.py BUILD_FOLDER
  package_test.py BUILD_FOLDER clean    installed by apt-get on a Debian that has nothing but its base, with KEYSKEW_TEST_LONG=1: it downloads 150 MB
"""
import glob
import os
import shutil
import subprocess
import sys
import tempfile


def make(build, folder):
    subprocess.run(["cpack", "--config", os.path.join(build, "CPackConfig.cmake"), "-B", folder], check=True, stdout=subprocess.DEVNULL)
    packages = glob.glob(os.path.join(folder, "keyskew_*.deb"))
    assert len(packages) == 1, packages
    return packages[0]


# Recommended packages too: as a user would. The mounts are those of a namespace that ends with it.
INSIDE = """set -e
mount -t proc proc "$0/proc"
mount --rbind /dev "$0/dev"
chroot "$0" env DEBIAN_FRONTEND=noninteractive HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin bash -ec '
    printf "#!/bin/sh\\nexit 101\\n" >/usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d
    apt-get update -qq
    apt-get install -y -q "/$0" >/tmp/install.log 2>&1 || { tail -20 /tmp/install.log; exit 1; }
    cd /root
    keyskew run ntp-step-back -g snowflake,unixmilli -o out
    test -s out/index.html; ls out/runs/*/clock.svg
    keyskew run real-leap -w faketime -o real
    keyskew doctor
    zcat -f /usr/share/man/man1/keyskew-run.1* | grep -q seeds
    apt-get purge -y -q keyskew >/dev/null
    test ! -e /usr/bin/keyskew
' "$1"
"""


def clean(build):
    if os.environ.get("KEYSKEW_TEST_LONG") != "1":
        print("skipped: it takes minutes and downloads; KEYSKEW_TEST_LONG=1 asks for it")
        return 77
    if os.getuid() or not shutil.which("debootstrap"):
        print("skipped: not root, or no debootstrap here; apt-get install debootstrap")
        return 77
    with tempfile.TemporaryDirectory(prefix="keyskew-clean-") as folder:
        package = make(build, folder)
        root = os.path.join(folder, "root")
        with open("/etc/os-release", encoding="utf-8") as f:
            suite = dict(line.rstrip().replace('"', "").split("=", 1) for line in f if "=" in line)["VERSION_CODENAME"]
        subprocess.run(["debootstrap", "--variant=minbase", suite, root], check=True, stdout=subprocess.DEVNULL)
        for name in ("sources.list.d", "apt.conf.d"):  # the packages come from where this machine's come from
            shutil.copytree("/etc/apt/" + name, os.path.join(root, "etc/apt", name), dirs_exist_ok=True)
        shutil.copy(package, root)
        done = subprocess.run(["unshare", "--mount", "--pid", "--fork", "bash", "-c", INSIDE, root, os.path.basename(package)],
                              capture_output=True, text=True)
        print(done.stdout + done.stderr)
        assert done.returncode == 0 and "4 of 4 expectations met" in done.stdout
    print("ok")
    return 0


def main():
    build = os.path.abspath(sys.argv[1])
    if sys.argv[2:] == ["clean"]:
        sys.exit(clean(build))
    with tempfile.TemporaryDirectory(prefix="keyskew-package-") as folder:
        packages = [make(build, folder)]
        fields = subprocess.run(["dpkg-deb", "-f", packages[0]], check=True, capture_output=True, text=True).stdout
        assert "libjansson4" in fields and "libsqlite3-0" in fields and "Recommends: gnuplot-nox, libfaketime" in fields, fields
        root = os.path.join(folder, "root")
        subprocess.run(["dpkg-deb", "-x", packages[0], root], check=True)
        for name in ("usr/share/man/man1/keyskew.1", "usr/share/man/man1/keyskew-run.1", "usr/share/bash-completion/completions/keyskew",
                     "usr/share/zsh/vendor-completions/_keyskew", "usr/libexec/keyskew/keyskew-subject", "usr/share/doc/keyskew/README.md"):
            assert os.path.isfile(os.path.join(root, name)) or os.path.isfile(os.path.join(root, name + ".gz")), name
        keyskew = os.path.join(root, "usr/bin/keyskew")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("KEYSKEW_")}
        done = subprocess.run([keyskew, "run", "ntp-step-back", "-g", "snowflake,unixmilli", "-o", os.path.join(folder, "out")],
                              env=environment, capture_output=True, text=True)
        assert done.returncode == 0 and "4 of 4 expectations met" in done.stdout, done.stdout + done.stderr
        bash = 'source "$0"; COMP_WORDS=(keyskew run --se); COMP_CWORD=2; _keyskew; echo "${COMPREPLY[@]}"'
        offered = subprocess.run(["bash", "-c", bash, os.path.join(root, "usr/share/bash-completion/completions/keyskew")], check=True,
                                 capture_output=True, text=True).stdout
        assert "--seed --seeds" in offered, offered
    print("ok")


main()
