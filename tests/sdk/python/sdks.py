"""The official SDKs as the grid calls them: a method and its arguments in, plain JSON out. What an SDK raises
becomes `Failure` with the class that the SDK's user would catch. Knows no dialect."""

import json
import os
import subprocess

import anthropic
import openai
from google import genai
from processes import ROOT
from mistralai.client import Mistral


class Failure(Exception):
    """What the SDK raised, and the events that came before."""

    def __init__(self, kind, status, events, text=""):
        super().__init__(f"{kind} {status}: {text}")
        self.kind, self.status, self.events = kind, status, events


class Native:
    """An SDK of this language."""

    def call(self, method, streamed=False, **arguments):
        events = []
        try:
            answer = self.invoke(method, arguments)
            if not streamed:
                return self.plain(answer)
            for event in answer:
                events.append(self.plain(event))
            return events
        # Each SDK has its own transport with its own exceptions: whatever a user would meet.
        except Exception as error:
            raise Failure(type(error).__name__, self.status(error), events, str(error)[:300]) from error

    def invoke(self, method, arguments):
        target = self.client
        for part in method.split("."):
            target = getattr(target, part)
        return target(**arguments)

    def status(self, error):
        return getattr(error, "status_code", None)

    def plain(self, answer):
        return answer.to_dict()


class OpenAiPython(Native):
    def __init__(self, tollgate, key=None):
        self.client = openai.OpenAI(base_url=f"{tollgate.url}/v1", api_key=key or tollgate.key, max_retries=0)


class AnthropicPython(Native):
    def __init__(self, tollgate, key=None):
        self.client = anthropic.Anthropic(base_url=tollgate.url, api_key=key or tollgate.key, max_retries=0)


class GenaiPython(Native):
    def __init__(self, tollgate, key=None):
        self.client = genai.Client(api_key=key or tollgate.key, http_options={"base_url": tollgate.url})

    def status(self, error):
        return getattr(error, "code", None)

    def plain(self, answer):
        return answer.model_dump(by_alias=True, exclude_none=True, mode="json", exclude={"sdk_http_response", "parsed"})


class MistralPython(Native):
    def __init__(self, tollgate, key=None):
        self.client = Mistral(api_key=key or tollgate.key, server_url=tollgate.url)

    def plain(self, answer):
        dumped = answer.model_dump(mode="json", by_alias=True)
        return dumped["data"] if set(dumped) == {"data"} else dumped


class JavaScript:
    """The SDKs of JavaScript, in one process for both vendors."""

    def __init__(self, tollgate):
        environment = {"PATH": os.environ["PATH"], "TOLLGATE_URL": tollgate.url, "TOLLGATE_KEY": tollgate.key}
        command = ["node", str(ROOT / "tests/sdk/js/driver.mjs")]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def call(self, sdk, method, streamed, arguments):
        order = {"sdk": sdk, "method": method, "stream": streamed, "arguments": arguments}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "failure" in answer:
            failure = answer["failure"]
            raise Failure(failure["kind"], failure["status"], failure["events"], failure["text"])
        return answer["events"] if streamed else answer["value"]

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)


class JavaScriptSdk:
    """One vendor's SDK of JavaScript; its arguments are one object."""

    def __init__(self, process, sdk):
        self.process, self.sdk = process, sdk

    def call(self, method, streamed=False, **arguments):
        # Python's name for what JavaScript calls `countTokens`.
        head, _, name = method.rpartition(".")
        words = name.split("_")
        name = words[0] + "".join(word.capitalize() for word in words[1:])
        method = ".".join(part for part in (head.replace("input_tokens", "inputTokens"), name) if part)
        return self.process.call(self.sdk, method, streamed, [arguments])
