"""Codex CLI as users run it, `codex exec`, on providers that are not OpenAI's."""

import json
import secrets

import pytest
from harness import FIRST_THOUGHT, HERE, PROVIDERS, script_for
from received import tool_exchanges, tool_names, tool_results
from routes import CODEX_ON_ANTHROPIC

CODEX = HERE / "node_modules/.bin/codex"


NO_AGENTS = "[agents]\nenabled = false\n"


def codex(desk, tollgate, model, prompt, settings=""):
    """Runs one task; returns the items that Codex completed."""
    folder = desk.home / ".codex"
    folder.mkdir()
    (folder / "config.toml").write_text(
        f"""
model = "{model}"
model_provider = "tollgate"

[analytics]
enabled = false

{settings}

[model_providers.tollgate]
name = "Tollgate"
base_url = "{tollgate.url}/v1"
env_key = "TOLLGATE_KEY"
wire_api = "responses"
"""
    )
    command = [CODEX, "exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", prompt]
    printed = desk.run(command, {"CODEX_HOME": str(folder), "TOLLGATE_KEY": tollgate.key})
    events = [json.loads(line) for line in printed.splitlines()]
    assert events[-1]["type"] == "turn.completed", events[-1]
    usage = events[-1]["usage"]
    assert usage["input_tokens"] > 0 and usage["output_tokens"] > 0
    return [event["item"] for event in events if event["type"] == "item.completed"]


def of_kind(items, kind):
    return [item for item in items if item["type"] == kind]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_runs_a_command_with_its_shell(testkit, tollgate, desk, provider):
    secret = secrets.token_hex(8)
    (desk.work / "note.txt").write_text(f"The word of the day is {secret}.\n")
    said = f"note.txt says that the word of the day is {secret}."
    model = testkit.two_steps(script_for(provider), "exec_command", {"cmd": "cat note.txt"}, said)

    items = codex(desk, tollgate, f"{provider}/{model}", "What does note.txt say?")

    [ran] = of_kind(items, "command_execution")
    assert (ran["exit_code"], ran["aggregated_output"]) == (0, f"The word of the day is {secret}.\n")
    assert [item["text"] for item in of_kind(items, "agent_message")] == [said]
    asked, answered = testkit.exchange(model)
    assert (asked["dialect"], asked["stream"]) == (PROVIDERS[provider], True)
    assert {"exec_command", "write_stdin", "multi_agent_v1__spawn_agent"} <= set(tool_names(asked))
    # Codex offers OpenAI's own search too, which nobody here can run.
    assert "web_search" not in json.dumps(asked["body"]["tools"])
    assert "What does note.txt say?" in json.dumps(asked["body"])
    assert secret not in json.dumps(asked["body"])
    [(tool, text)] = tool_results(answered)
    assert tool == "exec_command" and f"The word of the day is {secret}." in text
    # Codex carries sealed thinking back; the scripted provider checks its signature.
    if provider == "ant":
        assert FIRST_THOUGHT in json.dumps(answered["body"])


# Under a name that it knows, Codex finds the agents that it can start by a search of its own, a tool of a kind of its own.
@pytest.mark.parametrize(
    "settings",
    [
        NO_AGENTS,
        "",
    ],
    ids=["no-agents", "as-it-comes"],
)
def test_patches_a_file_under_a_gpt_name_that_an_anthropic_provider_serves(testkit, tollgate, desk, settings):
    """Under a name that it knows, Codex offers `apply_patch` as a custom tool, which takes text and not JSON."""
    secret = secrets.token_hex(8)
    patch = f"*** Begin Patch\n*** Add File: made.txt\n+{secret}\n*** End Patch\n"
    model = testkit.two_steps(CODEX_ON_ANTHROPIC.model, "apply_patch", {"input": patch}, "Made it.")

    items = codex(desk, tollgate, CODEX_ON_ANTHROPIC.name, "Make a file.", settings)

    assert (desk.work / "made.txt").read_text() == f"{secret}\n"
    assert [item["status"] for item in of_kind(items, "file_change")] == ["completed"]
    assert [item["text"] for item in of_kind(items, "agent_message")] == ["Made it."]
    asked, answered = testkit.exchange(model)
    assert "apply_patch" in tool_names(asked)
    [(tool, text)] = tool_results(answered)
    assert tool == "apply_patch" and "made.txt" in text


@pytest.mark.parametrize("provider", PROVIDERS)
def test_calls_a_function_of_a_namespace(testkit, tollgate, desk, provider):
    """Only OpenAI has namespaces: the function gets one name on the way out, and its two names back in the call."""
    name = "multi_agent_v1__close_agent"
    nobody = "00000000-0000-4000-8000-000000000000"
    model = testkit.two_steps(script_for(provider), name, {"target": nobody}, "Nobody is there.")

    items = codex(desk, tollgate, f"{provider}/{model}", "Send the other agent home.")

    assert [item["text"] for item in of_kind(items, "agent_message")] == ["Nobody is there."]
    _, answered = testkit.exchange(model)
    [(tool, text)] = tool_results(answered)
    # Codex knew the function, and that there is no such agent.
    assert tool == name and nobody in text


@pytest.mark.parametrize("provider", PROVIDERS)
def test_runs_two_commands_at_once(testkit, tollgate, desk, provider):
    words = [secrets.token_hex(8), secrets.token_hex(8)]
    calls = [("exec_command", {"cmd": f"echo {word}"}) for word in words]
    model = testkit.calls_then_text(script_for(provider), calls, "Ran both.")

    items = codex(desk, tollgate, f"{provider}/{model}", "Run both.")

    assert sorted(item["aggregated_output"].strip() for item in of_kind(items, "command_execution")) == sorted(words)
    assert [item["text"] for item in of_kind(items, "agent_message")] == ["Ran both."]
    _, answered = testkit.exchange(model)
    told = tool_exchanges(answered)
    # Results come in any order, each for its call.
    assert sorted(arguments["cmd"] for _, arguments, _ in told) == sorted(f"echo {word}" for word in words)
    assert all(tool == "exec_command" and arguments["cmd"].split()[1] in text for tool, arguments, text in told)
