"""A headless Chromium, driven through its own pipe (--remote-debugging-pipe): no library, no network, no port."""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time


def find():
    """The program, or None."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if shutil.which(name):
            return shutil.which(name)
    return None


class Failed(Exception):
    pass


class Browser:
    """One page. Everything that it says to its console or throws is kept in `said`, every address that it asks for in `fetched`
    (once Network is enabled)."""

    def __init__(self, program, timeout_s=60):
        self.home = tempfile.mkdtemp(prefix="keyskew-browser-")
        self.timeout_s = timeout_s
        self.said = []
        self.fetched = []
        self.number = 0
        self.rest = b""
        to_read, self.write_fd = os.pipe()
        self.read_fd, to_write = os.pipe()
        for fd in (to_read, to_write):
            os.set_inheritable(fd, True)

        def place():  # it reads from 3 and writes to 4
            os.dup2(to_read, 100)
            os.dup2(to_write, 101)
            os.dup2(100, 3)
            os.dup2(101, 4)
            os.set_inheritable(3, True)
            os.set_inheritable(4, True)

        words = [program, "--headless=new", "--remote-debugging-pipe", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
                 "--disable-dev-shm-usage", "--user-data-dir=" + self.home, "about:blank"]
        if os.getuid() == 0:
            words.insert(1, "--no-sandbox")
        self.process = subprocess.Popen(words, preexec_fn=place, close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(to_read)
        os.close(to_write)
        targets = self.call("Target.getTargets", session=None)["targetInfos"]
        target = [t["targetId"] for t in targets if t["type"] == "page"][0]
        self.session = self.call("Target.attachToTarget", session=None, targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(domain + ".enable")

    def close(self):
        try:
            self.call("Browser.close", session=None)
        except (Failed, OSError):
            pass
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            self.process.wait()
        os.close(self.write_fd)
        os.close(self.read_fd)
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    # ---- messages ----

    def message(self, deadline):
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.read_fd], [], [], max(0, deadline - time.monotonic()))
            data = os.read(self.read_fd, 1 << 20) if ready else b""
            if not data:
                raise Failed("the browser does not answer within %d s" % self.timeout_s if not ready else "the browser has ended")
            self.rest += data
        text, self.rest = self.rest.split(b"\0", 1)
        message = json.loads(text)
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.said.append("error: " + details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled":
            self.said.append(params["type"] + ": " + " ".join(str(a.get("value")) for a in params["args"]))
        elif method == "Network.requestWillBeSent":
            self.fetched.append(params["request"]["url"])
        elif method == "Log.entryAdded":
            self.said.append(params["entry"]["level"] + ": " + params["entry"]["text"] + " " + params["entry"].get("url", ""))
        return message

    def call(self, method, session="own", **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if session:
            message["sessionId"] = self.session
        os.write(self.write_fd, json.dumps(message).encode() + b"\0")
        return self.wait(lambda m: m.get("id") == self.number, method).get("result", {})

    def wait(self, wanted, what):
        deadline = time.monotonic() + self.timeout_s
        while True:
            message = self.message(deadline)
            if wanted(message):
                if "error" in message:
                    raise Failed("%s: %s" % (what, message["error"]["message"]))
                return message

    # ---- what a person does ----

    def open(self, path, fragment=""):
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url="file://" + os.path.abspath(path) + fragment)
        self.until("document.readyState == 'complete' && location.protocol == 'file:'")

    def js(self, code):
        """The value of an expression; promises are waited for."""
        answer = self.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise Failed("%s: %s" % (code, details.get("exception", {}).get("description", details["text"])))
        return answer["result"].get("value")

    def until(self, code):
        deadline = time.monotonic() + self.timeout_s
        while not self.js(code):
            if time.monotonic() > deadline:
                raise Failed("never true: " + code)
            time.sleep(0.02)

    KEYS = {"ArrowUp": 38, "ArrowDown": 40, "ArrowLeft": 37, "ArrowRight": 39, "Enter": 13, "Escape": 27, "Tab": 9}

    def press(self, key):
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        code = self.KEYS.get(key, ord(key.upper()) if len(key) == 1 else 0)
        down = {"type": "keyDown" if text else "rawKeyDown", "key": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", **(dict(down, text=text) if text else down))
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def type(self, text):
        for letter in text:
            self.press(letter)

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def media(self, media="", dark=False):
        self.call("Emulation.setEmulatedMedia", media=media,
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def settle(self):
        """Everything that was begun is drawn."""
        self.js("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(r, 50))))")

    def screenshot(self, path):
        self.settle()
        with open(path, "wb") as f:
            f.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def pdf(self, path, **how):
        with open(path, "wb") as f:
            f.write(base64.b64decode(self.call("Page.printToPDF", printBackground=True, **how)["data"]))
