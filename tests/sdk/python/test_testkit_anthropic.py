"""The official Anthropic SDK straight at the scripted provider: proves that the script speaks Anthropic's shapes.

Runs under both pinned SDKs, and so under both API versions.
"""

import json

import anthropic
import pytest
from anthropic_calls import ARGUMENTS, CLOCK, HELLO, IS_2023, NO_ARGUMENTS, PIXEL, WEATHER, City, ask, calls, replay, text, tool_loop
from harness import SHORT_TEXT, THINKING_TEXT, tag


@pytest.fixture(scope="module")
def client(testkit):
    return anthropic.Anthropic(base_url=testkit.anthropic, api_key="test-anthropic", max_retries=0)


both_ways = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


@both_ways
def test_text_with_usage(client, streamed):
    message = ask(client, "text", streamed)
    assert (text(message), message.stop_reason) == (SHORT_TEXT, "end_turn")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (5, 13)


def test_version_and_credential_are_what_this_sdk_promises(client, testkit):
    model = f"text:{tag()}"
    ask(client, model, False)
    headers = dict(testkit.records(model)[0]["headers"])
    version, credential = ("2023-06-01", "x-api-key") if IS_2023 else ("2026-10-21", "authorization")
    assert headers["anthropic-version"] == version
    assert headers[credential].rpartition(" ")[2].startswith("sha256:")


@both_ways
@pytest.mark.parametrize("model", ["unicode", "bytewise", "crlf", "comments"])
def test_awkward_bytes_decode_to_the_same_text(client, model, streamed):
    assert text(ask(client, model, streamed)) == text(ask(client, "unicode", False))


@both_ways
def test_one_tool_call(client, streamed):
    message = ask(client, "tool", streamed, tools=[WEATHER, CLOCK])
    assert [(call.name, call.input) for call in calls(message)] == [("get_weather", ARGUMENTS)]
    assert message.stop_reason == "tool_use"


@both_ways
def test_parallel_tool_calls(client, streamed):
    message = ask(client, "parallel-tools", streamed, tools=[WEATHER, CLOCK])
    assert [call.input for call in calls(message)] == [ARGUMENTS, {"zone": "Paris"}]
    assert len({call.id for call in calls(message)}) == 2


def test_parallel_calls_can_be_switched_off(client):
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    assert len(calls(ask(client, "parallel-tools", False, tools=[WEATHER, CLOCK], tool_choice=choice))) == 1


@both_ways
@pytest.mark.parametrize("model", ["tool-no-args", "tool-empty-args"])
def test_tool_without_arguments(client, model, streamed):
    assert calls(ask(client, model, streamed, tools=[NO_ARGUMENTS]))[0].input == {}


@both_ways
@pytest.mark.parametrize("model", ["tool", "parallel-tools"])
def test_two_step_tool_loop(client, model, streamed):
    first, second = tool_loop(client, model, [WEATHER, CLOCK], streamed)
    expected = " | ".join(f"22 degrees ({index})" for index in range(len(calls(first))))
    assert text(second) == f"The tool said: {expected}"


@both_ways
def test_tool_loop_with_thinking(client, streamed):
    thinking = {"type": "enabled", "budget_tokens": 1024} if IS_2023 else {"type": "adaptive", "display": "summarized"}
    first, second = tool_loop(client, "thinking-tool", [WEATHER], streamed, thinking=thinking, max_tokens=4096)
    assert [block.type for block in first.content] == ["thinking", "text", "tool_use"]
    assert text(second) == "The tool said: 22 degrees (0)"


def test_parsed_structured_output(client):
    message = client.messages.parse(model="json", max_tokens=1024, messages=HELLO, output_format=City)
    assert message.parsed_output == City(name="Paris", population=7, tags=["Paris"])


@both_ways
def test_thinking_is_signed(client, streamed):
    message = ask(client, "thinking", streamed)
    thinking, answer = message.content
    assert (thinking.thinking, answer.text) == (THINKING_TEXT, SHORT_TEXT)
    assert thinking.signature
    assert message.usage.output_tokens_details.thinking_tokens == 14


def test_edited_thinking_is_refused(client):
    blocks = replay(ask(client, "thinking", False))
    blocks[0]["thinking"] += "!"
    history = [*HELLO, {"role": "assistant", "content": blocks}, *HELLO]
    with pytest.raises(anthropic.BadRequestError, match="cannot be modified"):
        ask(client, "thinking", False, messages=history)


def test_foreign_signature_is_refused(client):
    blocks = [{"type": "thinking", "thinking": "x", "signature": "Zm9yZWlnbg=="}, {"type": "text", "text": "y"}]
    history = [*HELLO, {"role": "assistant", "content": blocks}, *HELLO]
    with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
        ask(client, "thinking", False, messages=history)


@both_ways
def test_redacted_thinking(client, streamed):
    blocks = ask(client, "redacted-thinking", streamed).content
    assert [block.type for block in blocks] == ["redacted_thinking", "text"]


@both_ways
def test_cached_usage(client, streamed):
    usage = ask(client, "cached", streamed).usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens, usage.output_tokens) == (20, 1000, 230, 40)
    assert (usage.cache_creation.ephemeral_5m_input_tokens, usage.cache_creation.ephemeral_1h_input_tokens) == (200, 30)


@both_ways
@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("max-tokens", "max_tokens"),
        ("stop-sequence", "stop_sequence"),
        ("pause", "pause_turn"),
        ("context-full", "model_context_window_exceeded"),
        ("refusal", "refusal"),
        ("content-filter", "refusal"),
    ],
)
def test_stop_reasons(client, model, reason, streamed):
    message = ask(client, model, streamed, stop_sequences=["END"])
    assert message.stop_reason == reason
    assert message.stop_sequence == ("END" if reason == "stop_sequence" else None)
    assert (message.stop_details is not None) == (reason == "refusal")


@both_ways
def test_output_cap_is_honoured(client, streamed):
    message = ask(client, "text", streamed, max_tokens=3)
    assert (text(message), message.stop_reason, message.usage.output_tokens) == ("Hello from the ", "max_tokens", 3)


ERRORS = {
    "e400": (anthropic.BadRequestError, "invalid_request_error"),
    "e400-context": (anthropic.BadRequestError, "invalid_request_error"),
    "e401": (anthropic.AuthenticationError, "authentication_error"),
    "e403": (anthropic.PermissionDeniedError, "permission_error"),
    "e404": (anthropic.NotFoundError, "not_found_error"),
    "e409": (anthropic.ConflictError, "conflict_error"),
    "e413": (anthropic.RequestTooLargeError, "request_too_large"),
    "e429": (anthropic.RateLimitError, "rate_limit_error"),
    "e500": (anthropic.InternalServerError, "api_error"),
    "e504": (anthropic.InternalServerError if IS_2023 else anthropic.DeadlineExceededError, "timeout_error"),
    "e529": (anthropic.OverloadedError, "overloaded_error"),
}


@pytest.mark.parametrize("model", ERRORS)
def test_typed_exceptions(client, model):
    error, kind = ERRORS[model]
    with pytest.raises(error) as caught:
        ask(client, model, False)
    assert (caught.value.body["error"]["type"], caught.value.status_code) == (kind, int(model[1:4]))
    assert caught.value.body["request_id"] == caught.value.request_id


@pytest.mark.parametrize("base", ["e429-once", "e500-once", "e529-once"])
def test_sdk_retry_succeeds(client, testkit, base):
    model = f"{base}:{tag()}"
    assert text(ask(client.with_options(max_retries=2), model, False)) == SHORT_TEXT
    assert [record["status"] for record in testkit.records(model)] == [int(base[1:4]), 200]


@pytest.mark.parametrize("model", ["cut-before-first", "cut-mid-text", "cut-mid-tool", "cut-at:700", "reset-at:700", "bad-framing"])
def test_cut_stream_raises(client, model):
    with pytest.raises(Exception, match="(?i)connection|peer closed|chunk|reset"):
        ask(client, model, True)


@pytest.mark.parametrize("model", ["error-after-200", "error-mid-stream"])
def test_error_event_raises(client, model):
    with pytest.raises(anthropic.APIStatusError) as caught:
        ask(client, model, True)
    assert caught.value.body["error"]["type"] == "overloaded_error"


def test_leaving_a_silent_stream_is_recorded(client, testkit):
    model = f"hang-mid-stream:{tag()}"
    with client.messages.stream(model=model, max_tokens=64, messages=HELLO) as stream:
        next(iter(stream))
    record = testkit.ended(model)
    assert (record["end"], record["events"], record["billed"]["output"]) == ("client_closed", 5, 3)


def test_images_and_system_are_accepted(client):
    content = [
        {"type": "text", "text": "Look here"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
    ]
    message = ask(client, "echo", False, messages=[{"role": "user", "content": content}], system=[{"type": "text", "text": "Be brief."}])
    assert text(message) == "Look here"


def test_count_tokens(client):
    assert client.messages.count_tokens(model="text", messages=HELLO).input_tokens == 5


def test_models(client):
    assert "thinking-tool" in [model.id for model in client.models.list(limit=7)]
    assert client.models.retrieve("text").display_name == "text"


REFUSED = {
    "unknown field": ({"made_up": 1}, "made_up: Extra inputs are not permitted"),
    "no max_tokens": ({"max_tokens": None}, "max_tokens: Field required"),
    "role": ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
    "empty text": ({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}, "text content blocks must be non-empty"),
    "blank text": ({"messages": [{"role": "user", "content": " "}]}, "non-whitespace"),
    "assistant first": ({"messages": [{"role": "assistant", "content": "x"}, *HELLO]}, "first message must use"),
    "unanswered call": (
        {"messages": [*HELLO, {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]}, *HELLO]},
        "`tool_use` ids were found without `tool_result` blocks immediately after",
    ),
    "orphan result": ({"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "zz", "content": "x"}]}]}, "unexpected `tool_use_id`"),
    "text before result": (
        {
            "messages": [
                *HELLO,
                {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
                {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "tool_result", "tool_use_id": "a", "content": "y"}]},
            ]
        },
        "`tool_result` blocks immediately after",
    ),
    "tool id": ({"messages": [*HELLO, {"role": "assistant", "content": [{"type": "tool_use", "id": "a b", "name": "f", "input": {}}]}]}, "should match pattern"),
    "blank stop": ({"stop_sequences": [" "]}, "non-whitespace"),
    "metadata": ({"metadata": {"trace": "x"}}, "metadata.trace: Extra inputs are not permitted"),
    "tool schema": ({"tools": [{"name": "f", "input_schema": {"type": "string"}}]}, "input_schema.type: Input should be 'object'"),
    "thinking budget": ({"thinking": {"type": "enabled", "budget_tokens": 100}}, "greater than or equal to 1024"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_requests_are_refused(client, case):
    change, message = REFUSED[case]
    body = {"model": "text", "max_tokens": 64, "messages": HELLO, **change}
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.post("/v1/messages", body={key: value for key, value in body.items() if value is not None}, cast_to=object)
    assert message in json.dumps(caught.value.body)


@pytest.mark.parametrize("field", ["temperature", "top_p", "top_k"])
def test_sampling_parameters_depend_on_the_version(client, field):
    body = {"model": "text", "max_tokens": 64, "messages": HELLO, field: 1}
    if IS_2023:
        assert client.post("/v1/messages", body=body, cast_to=object)["stop_reason"] == "end_turn"
    else:
        with pytest.raises(anthropic.BadRequestError, match=f"{field}: Extra inputs are not permitted"):
            client.post("/v1/messages", body=body, cast_to=object)


@pytest.mark.parametrize("version", ["", "2024-01-01"])
def test_api_version_is_required(client, version):
    with pytest.raises(anthropic.BadRequestError, match="anthropic-version"):
        client.messages.create(model="text", max_tokens=64, messages=HELLO, extra_headers={"anthropic-version": version})


def test_wrong_key(client):
    with pytest.raises(anthropic.AuthenticationError):
        ask(client.with_options(api_key="sk-wrong"), "text", False)


@pytest.mark.anyio
async def test_asynchronous_client(testkit):
    async with anthropic.AsyncAnthropic(base_url=testkit.anthropic, api_key="test-anthropic") as client:
        async with client.messages.stream(model="text", max_tokens=64, messages=HELLO) as stream:
            assert text(await stream.get_final_message()) == SHORT_TEXT
