"""The `llm` command line: it runs a tool of its own that the model calls, and prints the answer as it streams."""

import json
import secrets
import sys
from pathlib import Path

import pytest
from harness import PROVIDERS, script_for
from received import tool_names, tool_results

LLM = Path(sys.executable).with_name("llm")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_runs_a_tool_and_prints_the_answer(testkit, tollgate, desk, provider):
    secret = secrets.token_hex(8)
    said = f"It is sunny in Paris, says {secret}."
    name = testkit.two_steps(script_for(provider), "get_weather", {"location": "Paris"}, said)
    folder = desk.home / "llm"
    folder.mkdir()
    model = {"model_id": "weather", "model_name": f"{provider}/{name}", "api_base": f"{tollgate.url}/v1", "api_key_name": "tollgate", "supports_tools": True}
    # JSON is YAML.
    (folder / "extra-openai-models.yaml").write_text(json.dumps([model]))
    (folder / "keys.json").write_text(json.dumps({"tollgate": tollgate.key}))
    code = f'def get_weather(location: str) -> str:\n    "Tells the weather of a place."\n    return f"sunny in {{location}}, {secret}"\n'

    printed = desk.run(
        [LLM, "-m", "weather", "--functions", code, "What is the weather in Paris?"],
        {"LLM_USER_PATH": str(folder)},
    )

    assert printed.strip() == said
    asked, answered = testkit.exchange(name)
    assert (asked["dialect"], asked["stream"]) == (PROVIDERS[provider], True)
    assert tool_names(asked) == ["get_weather"]
    [(tool, text)] = tool_results(answered)
    assert tool == "get_weather" and f"sunny in Paris, {secret}" in text
