"""The processes under test and the oracle: started on port 0, found by their first line, ended by their starter."""

import json
import os
import secrets
import subprocess
import urllib.parse
import urllib.request
import uuid
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SHORT_TEXT = "Hello from the testkit: the quick brown fox jumps over the lazy dog."
THINKING_TEXT = "The user wants an answer, so I weigh the options and pick the shortest."


def binary(variable, name):
    """The path from the environment, else the newest build under the repository root."""
    if variable in os.environ:
        return Path(os.environ[variable])
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = [path for path in (target / "release" / name, target / "debug" / name) if path.exists()]
    if not built:
        raise FileNotFoundError(f"{name} is not built: run `cargo build -p tollgate-{name.removeprefix('tollgate-')}` or set {variable}")
    return max(built, key=lambda path: path.stat().st_mtime)


def tag():
    """Makes a model name unique, so that its attempts are counted and found apart."""
    return "t" + uuid.uuid4().hex[:10]


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


class Testkit(Server):
    """The scripted providers and their oracle."""

    __test__ = False

    def __init__(self, folder):
        super().__init__([str(binary("TESTKIT_BIN", "tollgate-testkit")), "--until-stdin-closes"], folder / "testkit.log")
        self.openai = self.ready["openai"]
        self.anthropic = self.ready["anthropic"]
        self.gemini = self.ready["gemini"]

    def records(self, model, **filters):
        """Attempts at one model name; `count=` and `ended=` wait for them."""
        query = urllib.parse.urlencode({"model": model, **filters})
        with urllib.request.urlopen(f"{self.ready['control']}/records?{query}", timeout=30) as answer:
            return json.load(answer)

    def register(self, scenario):
        """Adds a script to every provider; returns its name."""
        body = json.dumps(scenario).encode()
        with urllib.request.urlopen(f"{self.ready['control']}/scenarios", body, timeout=30) as answer:
            return json.load(answer)[0]

    def attempts(self, model):
        return len(self.records(model))

    def ended(self, model):
        """The first attempt, once it has ended."""
        return self.records(model, ended=1, count=1)[0]


class Tollgate(Server):
    """The gateway with one scripted provider for each dialect and variant. Two keys are known to it."""

    def __init__(self, testkit, folder):
        config = folder / "tollgate.toml"
        config.write_text(
            f"""
[providers.oai]
kind = "openai-compatible"
base_url = "{testkit.openai}"
api_key = "test-openai"

[providers.ant]
kind = "anthropic"
base_url = "{testkit.anthropic}"
api_key = "test-anthropic"

[providers.openai]
base_url = "{testkit.openai}"
api_key = "test-openai"

[providers.mistral]
base_url = "{testkit.openai}"
api_key = "test-openai"

[providers.gem]
kind = "google"
base_url = "{testkit.gemini}"
api_key = "test-gemini"
"""
        )
        self.key, self.other_key = virtual_key(), virtual_key()
        command = [str(binary("TOLLGATE_BIN", "tollgate")), "serve", "--listen", "127.0.0.1:0", "--data", str(folder / "data")]
        command += ["--config", str(config), "--json"]
        # A start adds the key of its environment to those that the data folder knows.
        Server(command, folder / "first.log", self.environment(folder, self.other_key)).stop()
        super().__init__(command, folder / "tollgate.log", self.environment(folder, self.key))
        self.url = self.ready["url"]

    @staticmethod
    def environment(folder, key):
        """No provider key of the machine may switch another provider on."""
        return {"PATH": os.environ["PATH"], "HOME": str(folder), "TOLLGATE_KEY": key}
