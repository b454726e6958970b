"""The processes that tests in Python run: found in the build folder, ready when they print a line of JSON, ended by their starter."""

import json
import os
import secrets
import subprocess
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def binary(variable, name):
    """The path from the environment, else the newest build under the repository root."""
    if variable in os.environ:
        return Path(os.environ[variable])
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = [path for path in (target / "release" / name, target / "debug" / name) if path.exists()]
    if not built:
        raise FileNotFoundError(f"{name} is not built: run `cargo build -p tollgate-{name.removeprefix('tollgate-')}` or set {variable}")
    return max(built, key=lambda path: path.stat().st_mtime)


def virtual_key():
    """A key of the form that Tollgate issues: 30 characters and their CRC-32 in six."""
    body = "".join(secrets.choice(ALPHABET) for _ in range(30))
    value, check = zlib.crc32(body.encode()), ""
    for _ in range(6):
        value, digit = divmod(value, 62)
        check = ALPHABET[digit] + check
    return f"sk-tg-{body}{check}"


class Server:
    """A child process that prints one JSON line when it is ready."""

    def __init__(self, command, log, environment=None):
        self.log = log
        with open(log, "wb") as stderr:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=environment)
        line = self.process.stdout.readline()
        try:
            self.ready = json.loads(line)
        except ValueError:
            self.process.kill()
            raise RuntimeError(f"{command[0]} did not get ready: {line!r}\n{Path(log).read_text()[-4000:]}") from None

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
