"""The conformance grid: one test for each cell that can be. The outcome of a whole run is written to the file
that `CONFORMANCE_RESULTS` names; `conformance_page.py` makes docs/conformance.md of it."""

import json

import grid
import grid_scripts
import pytest
import sdks
from grid_dialects import PDF, PNG, Ask, StreamError
from grid_scripts import UNICODE_TEXT
from harness import SHORT_TEXT, THINKING_TEXT, tag

WEATHER = {
    "name": "get_weather",
    "description": "Weather of a place.",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["location", "days"],
    },
}
CLOCK = {
    "name": "get_time",
    "description": "Time of a zone.",
    "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
}
CITY = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "population": {"type": "integer"}},
    "required": ["name", "population"],
    "additionalProperties": False,
}
ARGUMENTS = {"location": "Paris", "days": 7}
# What the user of each SDK catches: the class, and the status that it carries.
ERRORS = {
    "openai": {404: "NotFoundError", 429: "RateLimitError", 500: "InternalServerError"},
    "anthropic": {404: "NotFoundError", 429: "RateLimitError", 500: "InternalServerError"},
    "genai": {404: "ClientError", 429: "ClientError", 500: "ServerError"},
    "mistral": {404: "SDKError", 429: "SDKError", 500: "SDKError"},
}


@pytest.fixture(scope="session")
def scripts(testkit):
    grid_scripts.register(testkit)


@pytest.fixture(scope="session")
def javascript(tollgate):
    process = sdks.JavaScript(tollgate)
    yield process
    process.stop()


@pytest.fixture(scope="session")
def dialects(tollgate, javascript):
    """A dialect object for each client of the grid."""
    return {
        name: client.dialect(
            sdks.JavaScriptSdk(javascript, client.sdk) if isinstance(client.sdk, str) else client.sdk(tollgate)
        )
        for name, client in grid.CLIENTS.items()
    }


class Cell:
    """One question of one client to one provider, and what the provider saw of it."""

    def __init__(self, testkit, dialect, client, provider):
        self.testkit, self.dialect, self.client = testkit, dialect, client
        self.provider = grid.PROVIDERS[provider]
        # A chat is moved to Responses where it has tools and the model takes them nowhere else.
        self.is_moved = provider == "openai-responses" and not client.startswith("responses")

    def ask(self, script, streamed=False, **question):
        names = {}
        if self.is_moved:
            names = grid_scripts.RESPONSES
            question.setdefault("tools", [CLOCK])
        elif self.provider.name == "mistral" and streamed:
            names = grid_scripts.MISTRAL
        elif self.provider.dialect == "gemini":
            names = grid_scripts.GEMINI
        self.model = names.get(script) or f"{script}:{tag()}"
        return self.dialect.ask(Ask(f"{self.provider.name}/{self.model}", **question), streamed)

    def again(self, streamed=False, **question):
        """The next turn with the same model."""
        return self.dialect.ask(Ask(f"{self.provider.name}/{self.model}", **question), streamed)

    def reports_usage(self, streamed):
        """Mistral's SDK has no `stream_options` to ask OpenAI's chat for the usage of a stream."""
        return not (streamed and self.client == "chat-mistralai")

    def sent(self, attempt=-1):
        """The body that the provider received, as text."""
        return json.dumps(self.testkit.records(self.model)[attempt]["body"])


def text(cell):
    answer = cell.ask("text")
    assert (answer.text, answer.finish) == (SHORT_TEXT, "end")
    assert answer.usage["output"] == 13


def system(cell):
    assert cell.ask("text", system="Be brief, says the grid.").text == SHORT_TEXT
    assert "Be brief, says the grid." in cell.sent()


def stream(cell):
    answer = cell.ask("text", streamed=True)
    assert (answer.text, answer.finish) == (SHORT_TEXT, "end")
    assert answer.n_text_events > 3
    if cell.reports_usage(streamed=True):
        assert answer.usage["output"] == 13


def unicode(cell):
    assert cell.ask("unicode", streamed=True).text == UNICODE_TEXT


def tool(cell):
    answer = cell.ask("tool", tools=[WEATHER, CLOCK])
    assert [(call["name"], call["arguments"]) for call in answer.calls] == [("get_weather", ARGUMENTS)]
    assert answer.finish == "tool"


def parallel_tools(cell):
    # Mistral's SDK takes a streamed call only as a whole.
    for streamed in (False,) if cell.client == "chat-mistralai" else (False, True):
        answer = cell.ask("parallel-tools", streamed, tools=[WEATHER, CLOCK])
        named = [(call["name"], call["arguments"]) for call in answer.calls]
        assert named == [("get_weather", ARGUMENTS), ("get_time", {"zone": "Paris"})]
        assert len({call["id"] for call in answer.calls} - {None}) in (0, 2)


def streamed_arguments(cell):
    answer = cell.ask("tool", streamed=True, tools=[WEATHER])
    assert [(call["name"], call["arguments"]) for call in answer.calls] == [("get_weather", ARGUMENTS)]
    assert answer.finish == "tool"
    # Gemini's own streams bring a call whole, to its clients and from its servers.
    if "gemini" not in (cell.provider.dialect, cell.client.split("-")[0]):
        assert answer.n_argument_events > 1


def tool_result(cell):
    for script, n in (("tool", 1), ("parallel-tools", 2)):
        first = cell.ask(script, tools=[WEATHER, CLOCK])
        results = [(f"22 degrees ({index})", False) for index in range(n)]
        second = cell.again(tools=[WEATHER, CLOCK], past=[(first, results)])
        for result, _ in results:
            assert result in second.text and result in cell.sent()
        assert second.text.startswith("The tool said: ") and second.finish == "end"


def tool_error(cell):
    first = cell.ask("tool", tools=[WEATHER])
    second = cell.again(tools=[WEATHER], past=[(first, [("the disk is full", True)])])
    assert second.text.startswith("The tool said: ")
    sent = cell.sent()
    assert "the disk is full" in sent
    mark = {"messages": '"is_error": true', "gemini": '"error":'}.get(cell.provider.dialect, "rror")
    assert mark in sent


def image(cell):
    cell.ask("text", image=PNG)
    sent = cell.sent()
    if cell.provider.dialect == "gemini":
        # Gemini takes both alphabets of base64; the others only this one.
        sent = sent.replace("-", "+").replace("_", "/")
    assert PNG in sent


def document(cell):
    cell.ask("text", pdf=PDF)
    assert PDF in cell.sent()


def stop(cell):
    assert cell.ask("stop-sequence", stop=["END", "FIN"]).finish == "end"
    assert '["END", "FIN"]' in cell.sent()


def schema(cell):
    for streamed in (False, True):
        answer = cell.ask("json", streamed, schema=CITY)
        assert json.loads(answer.text) == {"name": "Paris", "population": 7}


def thinking(cell):
    for streamed in (False, True):
        answer = cell.ask("thinking", streamed, thinks=True)
        assert (answer.thinking, answer.text) == (THINKING_TEXT, SHORT_TEXT)


def thinking_turns(cell):
    for streamed in (False, True):
        first = cell.ask("thinking-tool", streamed, thinks=True, tools=[CLOCK])
        assert first.thinking == THINKING_TEXT and len(first.calls) == 1
        second = cell.again(streamed, thinks=True, tools=[CLOCK], past=[(first, [("22 degrees", False)])])
        assert "22 degrees" in second.text
        # The provider checks what it signed; that it came back at all is seen here.
        mark = {"messages": '"signature":', "gemini": '"thoughtSignature":', "responses": '"encrypted_content":'}
        assert mark.get(cell.provider.dialect, '"signature":') in cell.sent()
        if cell.provider.dialect != "gemini":
            assert THINKING_TEXT in cell.sent()


def refusal(cell):
    for streamed in (False, True):
        answer = cell.ask("refusal", streamed)
        assert answer.finish == "refusal"


def max_tokens(cell):
    for streamed in (False, True):
        answer = cell.ask("max-tokens", streamed, max_tokens=20)
        assert (answer.text, answer.finish) == ("This text stops in the", "length")


def cached(cell):
    for streamed in (False, True):
        usage = cell.ask("cached", streamed).usage
        if cell.reports_usage(streamed):
            assert (usage["input"], usage["cached"], usage["output"]) == (1250, 1000, 40)


def status(script, number):
    def check(cell):
        vendor = {"chat-mistralai": "mistral", "gemini-python": "genai"}.get(cell.client)
        vendor = vendor or ("anthropic" if cell.client.startswith("messages") else "openai")
        for streamed in (False, True):
            with pytest.raises(sdks.Failure) as caught:
                cell.ask(script, streamed)
            # A provider's own 500 is told from one of Tollgate's by 502.
            allowed = (500, 502) if number == 500 else (number,)
            assert caught.value.kind == ERRORS[vendor][number] and caught.value.status in allowed
            assert caught.value.events == []

    return check


def broken(script):
    def check(cell):
        with pytest.raises((sdks.Failure, StreamError)) as caught:
            cell.ask(script, streamed=True)
        # After text that had already come, never in its place.
        assert len(caught.value.events) > 1

    return check


def citations(cell):
    for streamed in (False, True):
        answer = cell.ask("citations", streamed)
        assert answer.text == "According to the source, Paris has 2.1 million inhabitants."
        assert answer.links == ["https://example.com/paris"]


def embeddings(cell):
    model = f"{cell.provider.name}/text:{tag()}"
    vectors = cell.dialect.embed(model, ["one", "two words"])
    assert len(vectors) == 2 and vectors[0] != vectors[1]
    assert len(vectors[0]) == len(vectors[1]) > 1


def count(cell):
    assert cell.dialect.count(f"{cell.provider.name}/text:{tag()}") > 0


CHECKS = {
    "text": text,
    "system": system,
    "stream": stream,
    "unicode": unicode,
    "tool": tool,
    "parallel-tools": parallel_tools,
    "streamed-arguments": streamed_arguments,
    "tool-result": tool_result,
    "tool-error": tool_error,
    "image": image,
    "document": document,
    "stop": stop,
    "schema": schema,
    "thinking": thinking,
    "thinking-turns": thinking_turns,
    "refusal": refusal,
    "max-tokens": max_tokens,
    "cached": cached,
    # A wait of half a minute is more than Tollgate waits: the error comes at once.
    "error-429": status("e429:30", 429),
    "error-404": status("e404", 404),
    "error-500": status("e500", 500),
    "error-mid-stream": broken("error-mid-stream"),
    "cut": broken("cut-mid-text"),
    "citations": citations,
    "embeddings": embeddings,
    "count": count,
}


def parameters():
    for cell in grid.cells():
        if grid.reason(*cell) is None:
            wrong = grid.known_failure(*cell)
            marks = [pytest.mark.xfail(strict=True, reason=wrong)] if wrong else []
            yield pytest.param(*cell, id="/".join(cell), marks=marks)


def test_every_feature_has_a_check():
    assert list(CHECKS) == list(grid.FEATURES)


@pytest.mark.parametrize(("client", "provider", "feature"), parameters())
def test_cell(testkit, scripts, dialects, client, provider, feature):
    CHECKS[feature](Cell(testkit, dialects[client], client, provider))
