"""Pages in a real browser: Chromium without a window, told what to do through a pipe (Chrome DevTools Protocol)."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27}
"""With their codes."""

PATIENCE = 60  # seconds


class Chromium:
    """One browser with one page; a context manager."""

    def __init__(self, program: str) -> None:
        self.profile = tempfile.TemporaryDirectory(prefix="asr-chromium-", ignore_cleanup_errors=True)
        commands, to_browser = os.pipe()
        from_browser, replies = os.pipe()
        # The browser reads commands from descriptor 3 and answers on 4.
        redirect = 'exec "$@" 3</dev/fd/' + str(commands) + " 4>/dev/fd/" + str(replies)
        options = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--mute-audio", "--disable-background-networking", "--hide-scrollbars",
            "--autoplay-policy=no-user-gesture-required", f"--user-data-dir={self.profile.name}",
            "--remote-debugging-pipe", "about:blank",
        ]  # fmt: skip
        self.process = subprocess.Popen(
            ["sh", "-c", redirect, "sh", program, *options],
            pass_fds=(commands, replies), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(commands)
        os.close(replies)
        self.commands, self.replies = os.fdopen(to_browser, "wb"), from_browser
        self.received = b""
        self.loads = 0  # of pages
        self.numbers = itertools.count(1)
        self.session: str | None = None
        pages = [page for page in self.send("Target.getTargets")["targetInfos"] if page["type"] == "page"]
        target = pages[0]["targetId"] if pages else self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.send("Page.enable")

    def __enter__(self) -> "Chromium":
        return self

    def __exit__(self, *_: object) -> None:
        self.commands.close()
        try:
            self.process.wait(timeout=5)  # it ends with its pipe
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.replies)
        self.profile.cleanup()

    def send(self, method: str, **params: Any) -> Any:
        """A command's result."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.commands.write(json.dumps(message).encode() + b"\0")
        self.commands.flush()
        while (reply := self._reply()).get("id") != number:
            pass
        assert "error" not in reply, reply
        return reply["result"]

    def _reply(self) -> dict[str, Any]:
        """The next message: to a command, or an event."""
        while b"\0" not in self.received:
            assert select.select([self.replies], [], [], PATIENCE)[0], "the browser does not answer"
            received = os.read(self.replies, 1 << 20)
            assert received, "the browser has ended"
            self.received += received
        first, self.received = self.received.split(b"\0", 1)
        message: dict[str, Any] = json.loads(first)
        self.loads += message.get("method") == "Page.loadEventFired"
        return message

    def open(self, page: Path, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Load a file in a window of so many pixels, and wait for it."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        before = self.loads
        self.send("Page.navigate", url=page.as_uri())
        while self.loads == before:
            self._reply()

    def run(self, script: str) -> Any:
        """The value of an expression, which may be a promise."""
        result = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def press(self, key: str) -> None:
        """One key, as a keyboard gives it: one of KEYS."""
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=KEYS[key], **text)

    def picture(self, path: Path, height: int | None = None) -> None:
        """Write what the page looks like as PNG, from its top down to so many pixels, or all of it."""
        size = self.run("({width: innerWidth, height: document.documentElement.scrollHeight})")
        clip = {"x": 0, "y": 0, "width": size["width"], "height": height or size["height"], "scale": 1}
        shot = self.send("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))


def chromium() -> Chromium:
    """A browser; skips where there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on the PATH")
    return Chromium(program)
