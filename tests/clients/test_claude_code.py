"""Claude Code as users run it, `claude -p`, on providers that are not Anthropic's."""

import json
import secrets
from pathlib import Path

import pytest
from harness import HERE, PROVIDERS, script_for
from received import tool_exchanges, tool_names, tool_results
from routes import CLAUDE_ON_GEMINI

CLAUDE = HERE / "node_modules/.bin/claude"
OWN_TOOLS = {"Bash", "Edit", "Read", "Write"}


def claude(desk, tollgate, model, prompt, *arguments):
    environment = {
        "ANTHROPIC_BASE_URL": tollgate.url,
        "ANTHROPIC_AUTH_TOKEN": tollgate.key,
        # No telemetry, no error reports, no updates.
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    command = [CLAUDE, "-p", prompt, "--model", model, "--output-format", "json", *arguments]
    return json.loads(desk.run(command, environment))


@pytest.mark.parametrize(
    ("provider", "thinks"), [("gem", False), ("gem", True), ("oai", True), ("ant", True)]
)
def test_reads_a_file_with_its_own_tool(testkit, tollgate, desk, provider, thinks):
    secret = secrets.token_hex(8)
    note = desk.work / "note.txt"
    note.write_text(f"The word of the day is {secret}.\n")
    said = f"note.txt says that the word of the day is {secret}."
    model = testkit.two_steps(script_for(provider), "Read", {"file_path": str(note)}, said, thinks)

    result = claude(desk, tollgate, f"{provider}/{model}", "What does note.txt say?")

    assert result["result"] == said
    assert (result["is_error"], result["num_turns"], result["stop_reason"]) == (False, 2, "end_turn")
    assert result["usage"]["input_tokens"] > 0 and result["usage"]["output_tokens"] > 0
    asked, answered = testkit.exchange(model)
    assert (asked["dialect"], asked["stream"]) == (PROVIDERS[provider], True)
    assert OWN_TOOLS <= set(tool_names(asked))
    assert "What does note.txt say?" in json.dumps(asked["body"])
    assert secret not in json.dumps(asked["body"])
    [(tool, text)] = tool_results(answered)
    assert tool == "Read" and f"The word of the day is {secret}." in text


def test_runs_a_command_under_a_claude_name_that_gemini_3_serves(testkit, tollgate, desk):
    """The client takes the provider for its own model; Gemini 3 refuses a call that lost its signature."""
    secret = secrets.token_hex(8)
    command = {"command": f"echo {secret} | tee made.txt", "description": "Make a file"}
    model = testkit.two_steps(CLAUDE_ON_GEMINI.model, "Bash", command, "Made it.", thinks=False)

    result = claude(desk, tollgate, CLAUDE_ON_GEMINI.name, "Make a file.", "--allowedTools", "Bash")

    assert (result["result"], result["is_error"], result["permission_denials"]) == ("Made it.", False, [])
    assert (desk.work / "made.txt").read_text() == f"{secret}\n"
    _, answered = testkit.exchange(model)
    [(tool, text)] = tool_results(answered)
    assert tool == "Bash" and secret in text


@pytest.mark.parametrize("provider", PROVIDERS)
def test_reads_two_files_at_once(testkit, tollgate, desk, provider):
    words = {str(desk.work / f"{name}.txt"): secrets.token_hex(8) for name in ("one", "two")}
    for path, word in words.items():
        Path(path).write_text(f"The word is {word}.\n")
    calls = [("Read", {"file_path": path}) for path in words]
    model = testkit.calls_then_text(script_for(provider), calls, "Read both.", thinks=False)

    result = claude(desk, tollgate, f"{provider}/{model}", "Read both files.")

    assert (result["result"], result["is_error"]) == ("Read both.", False)
    _, answered = testkit.exchange(model)
    told = tool_exchanges(answered)
    # Results come in any order, each for its call.
    assert {arguments["file_path"] for _, arguments, _ in told} == set(words) and len(told) == 2
    assert all(tool == "Read" and words[arguments["file_path"]] in text for tool, arguments, text in told)
