"""The processes around a client: the scripted providers, Tollgate before them, and a clean place to run a client in."""

import json
import os
import subprocess
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

from processes import Server, binary, virtual_key
from routes import ROUTES

HERE = Path(__file__).resolve().parent
# Nothing listens on port 9: a client that wants anything but Tollgate fails at once instead of reaching it.
NO_WAY_OUT = "http://127.0.0.1:9"
OFFLINE = {
    **dict.fromkeys(["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"], NO_WAY_OUT),
    **dict.fromkeys(["NO_PROXY", "no_proxy"], "127.0.0.1,localhost"),
}
CLIENT_LIMIT_S = 60
FIRST_THOUGHT = "The tool knows that."
# The providers in Tollgate's settings and what the testkit's records call their dialects.
PROVIDERS = {"oai": "openai", "ant": "anthropic", "gem": "gemini"}


def script_for(provider):
    """A model name that no other test has."""
    name = "script-" + uuid.uuid4().hex[:10]
    # As Gemini 3, that provider refuses a call which lost its signature on the way through the client.
    return f"{name}:gemini-3-pro" if provider == "gem" else name


class Testkit(Server):
    """The scripted providers, one of each dialect, and their oracle."""

    __test__ = False

    def __init__(self, folder):
        super().__init__([str(binary("TESTKIT_BIN", "tollgate-testkit")), "--until-stdin-closes"], folder / "testkit.log")

    def _control(self, path, body=None, method=None):
        request = urllib.request.Request(self.ready["control"] + path, body, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def forget(self):
        self._control("/records", method="DELETE")

    def two_steps(self, model, tool, arguments, text, thinks=True):
        """Scripts a model that calls `tool`, and says `text` once the result has come; returns the model's name."""
        return self.calls_then_text(model, [(tool, arguments)], text, thinks)

    def calls_then_text(self, model, calls, text, thinks=True):
        """As `two_steps`, with all the calls at once."""
        blocks = []
        for tool, arguments in calls:
            written = json.dumps(arguments)
            fragments = [written[at : at + 7] for at in range(0, len(written), 7)]
            blocks.append({"type": "tool_call", "name": tool, "fragments": fragments})
        before, after = [{"type": "thinking", "thinking": thought} for thought in (FIRST_THOUGHT, "Now I know it too.")]
        scenario = {
            "name": model,
            "reply": [before, *blocks] if thinks else blocks,
            "after_tools": [after, {"type": "text", "text": text}] if thinks else [{"type": "text", "text": text}],
        }
        self._control("/scenarios", json.dumps(scenario).encode())
        return model

    def exchange(self, model, count=2):
        """The `count` attempts of a task in the order of their arrival; fails when one was refused or there were more."""
        query = urllib.parse.urlencode({"model": model, "count": count, "ended": 1})
        found = self._control(f"/records?{query}")
        told = [(record["status"], record["refused"]) for record in found]
        assert told == [(200, None)] * count, told
        return found


class Tollgate(Server):
    """The gateway with one provider of each dialect, all scripted."""

    def __init__(self, testkit, folder):
        config = folder / "tollgate.toml"
        tables = [
            f'[providers.{name}]\nkind = "{side}-compatible"\nbase_url = "{testkit.ready[side]}"\napi_key = "test-{side}"\n'
            for name, side in PROVIDERS.items()
        ]
        tables += [f'[routes."{route.name}"]\ntargets = ["{route.provider}/{route.model}"]\n' for route in ROUTES]
        config.write_text("\n".join(tables))
        config.chmod(0o600)
        self.key = virtual_key()
        # No provider key of the machine may switch another provider on.
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TOLLGATE_KEY": self.key}
        command = [str(binary("TOLLGATE_BIN", "tollgate")), "serve", "--listen", "127.0.0.1:0", "--data", str(folder / "data")]
        super().__init__([*command, "--config", str(config), "--json"], folder / "tollgate.log", environment)
        self.url = self.ready["url"]


class Desk:
    """Where one client runs: an empty home, an empty working folder, and no way out but Tollgate."""

    def __init__(self, folder):
        self.home = folder / "home"
        self.work = folder / "work"
        self.home.mkdir()
        self.work.mkdir()

    def run(self, command, environment, stdin=""):
        """Runs a client to its end; returns what it printed. Fails with all it said when it failed."""
        # No credential and no setting of the machine may reach the client.
        clean = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8", "TMPDIR": str(self.home), **OFFLINE, **environment}
        done = subprocess.run(
            [str(part) for part in command],
            cwd=self.work,
            env=clean,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=CLIENT_LIMIT_S,
        )
        assert done.returncode == 0, f"{command[0]} exited with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout
