"""The Vercel AI SDK: a streamed tool loop with each of its packages on each dialect of provider."""

import json
import secrets

import pytest
from harness import HERE, PROVIDERS, script_for
from received import tool_names, tool_results

PACKAGES = ["openai-chat", "openai-responses", "openai-stateless", "anthropic", "google"]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("package", PACKAGES)
def test_tool_loop(testkit, tollgate, desk, package, provider):
    weather = f"sunny, {secrets.token_hex(8)}"
    said = f"The weather in Paris is {weather}."
    model = testkit.two_steps(script_for(provider), "get_weather", {"location": "Paris"}, said)
    # The package takes a name with a slash for a whole path.
    prefix = "models/" if package == "google" else ""

    command = ["node", HERE / "ai_sdk.mjs", package, tollgate.url, tollgate.key, f"{prefix}{provider}/{model}", weather]
    told = json.loads(desk.run(command, {}))

    assert told["ran"] == [{"location": "Paris"}]
    assert told["text"] == said
    assert told["finish"] == ["tool-calls", "stop"]
    assert told["parts"]["tool-input-delta"] >= 1 and told["parts"]["text-delta"] > 1
    assert told["usage"]["inputTokens"] > 0 and told["usage"]["outputTokens"] > 0
    asked, answered = testkit.exchange(model)
    assert (asked["dialect"], asked["stream"]) == (PROVIDERS[provider], True)
    assert tool_names(asked) == ["get_weather"]
    [(tool, text)] = tool_results(answered)
    assert tool == "get_weather" and weather in text
