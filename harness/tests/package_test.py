#!/usr/bin/env python3
"""The Debian package: made, unpacked elsewhere, and used from there.

  package_test.py BUILD_FOLDER
"""
import glob
import os
import subprocess
import sys
import tempfile


def main():
    build = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="keyskew-package-") as folder:
        subprocess.run(["cpack", "--config", os.path.join(build, "CPackConfig.cmake"), "-B", folder], check=True, stdout=subprocess.DEVNULL)
        packages = glob.glob(os.path.join(folder, "keyskew_*.deb"))
        assert len(packages) == 1, packages
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
