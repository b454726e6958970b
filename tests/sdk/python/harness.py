"""The processes under test and the oracle: started on port 0, found by their first line, ended by their starter."""

import json
import os
import urllib.parse
import urllib.request
import uuid

from processes import Server, binary, virtual_key

SHORT_TEXT = "Hello from the testkit: the quick brown fox jumps over the lazy dog."
THINKING_TEXT = "The user wants an answer, so I weigh the options and pick the shortest."


def tag():
    """Makes a model name unique, so that its attempts are counted and found apart."""
    return "t" + uuid.uuid4().hex[:10]


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
# The scripted models have no price.
[ledger]
unknown_price = "book"

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
