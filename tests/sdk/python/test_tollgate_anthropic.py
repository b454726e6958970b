"""The official Anthropic SDK through Tollgate, to a provider of either dialect and to the built-in model.

Runs under both pinned SDKs, and so under both API versions.
"""

import json
import urllib.request

import anthropic
import pytest
from anthropic_calls import ARGUMENTS, CLOCK, HELLO, IS_2023, NO_ARGUMENTS, PIXEL, WEATHER, City, ask, calls, text, tool_loop
from harness import SHORT_TEXT, THINKING_TEXT, tag, virtual_key

both_providers = pytest.mark.parametrize("provider", ["oai", "ant"], ids=["openai-provider", "anthropic-provider"])
both_ways = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


@pytest.fixture(scope="module")
def client(tollgate):
    return anthropic.Anthropic(base_url=tollgate.url, api_key=tollgate.key, max_retries=0)


def named(provider, base):
    """A script's name at the provider, and as Tollgate's callers write it."""
    model = f"{base}:{tag()}"
    return model, f"{provider}/{model}"


@both_providers
@both_ways
def test_text_with_usage(client, provider, streamed):
    message = ask(client, f"{provider}/text", streamed)
    assert (text(message), message.stop_reason) == (SHORT_TEXT, "end_turn")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (5, 13)


@both_providers
def test_events_arrive_one_by_one(client, provider):
    with client.messages.stream(model=f"{provider}/text", max_tokens=64, messages=HELLO) as stream:
        assert len(list(stream.text_stream)) == 13


@both_providers
@both_ways
@pytest.mark.parametrize("base", ["unicode", "bytewise", "crlf", "comments"])
def test_awkward_bytes_decode_to_the_same_text(client, provider, base, streamed):
    direct = text(ask(client, "ant/unicode", False))
    assert text(ask(client, f"{provider}/{base}", streamed)) == direct


@both_providers
@both_ways
def test_one_tool_call(client, provider, streamed):
    message = ask(client, f"{provider}/tool", streamed, tools=[WEATHER, CLOCK])
    assert [(call.name, call.input) for call in calls(message)] == [("get_weather", ARGUMENTS)]
    assert message.stop_reason == "tool_use"


@both_providers
@both_ways
def test_parallel_tool_calls(client, provider, streamed):
    message = ask(client, f"{provider}/parallel-tools", streamed, tools=[WEATHER, CLOCK])
    assert [call.input for call in calls(message)] == [ARGUMENTS, {"zone": "Paris"}]
    assert len({call.id for call in calls(message)}) == 2


@both_providers
def test_parallel_calls_can_be_switched_off(client, provider):
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    assert len(calls(ask(client, f"{provider}/parallel-tools", False, tools=[WEATHER, CLOCK], tool_choice=choice))) == 1


@both_providers
@both_ways
@pytest.mark.parametrize("base", ["tool-no-args", "tool-empty-args"])
def test_tool_without_arguments(client, provider, base, streamed):
    assert calls(ask(client, f"{provider}/{base}", streamed, tools=[NO_ARGUMENTS]))[0].input == {}


@both_providers
@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ({"type": "none"}, []),
        ({"type": "any"}, ["get_weather"]),
        ({"type": "tool", "name": "get_time"}, ["get_time"]),
    ],
    ids=["none", "any", "named"],
)
def test_tool_choice(client, provider, choice, names):
    message = ask(client, f"{provider}/tool", False, tools=[WEATHER, CLOCK], tool_choice=choice)
    assert [call.name for call in calls(message)] == names


@both_providers
@both_ways
@pytest.mark.parametrize("base", ["tool", "parallel-tools"])
def test_two_step_tool_loop(client, provider, base, streamed):
    first, second = tool_loop(client, f"{provider}/{base}", [WEATHER, CLOCK], streamed)
    expected = " | ".join(f"22 degrees ({index})" for index in range(len(calls(first))))
    assert text(second) == f"The tool said: {expected}"


@both_providers
@both_ways
def test_tool_loop_with_thinking(client, provider, streamed):
    thinking = {"type": "enabled", "budget_tokens": 1024} if IS_2023 else {"type": "adaptive", "display": "summarized"}
    first, second = tool_loop(client, f"{provider}/thinking-tool", [WEATHER], streamed, thinking=thinking, max_tokens=4096)
    assert [block.type for block in first.content] == ["thinking", "text", "tool_use"]
    assert text(second) == "The tool said: 22 degrees (0)"


@both_providers
def test_parsed_structured_output(client, provider):
    message = client.messages.parse(model=f"{provider}/json", max_tokens=1024, messages=HELLO, output_format=City)
    assert message.parsed_output == City(name="Paris", population=7, tags=["Paris"])


@both_providers
@both_ways
def test_thinking_comes_first(client, provider, streamed):
    message = ask(client, f"{provider}/thinking", streamed)
    thinking, answer = message.content
    assert (thinking.type, thinking.thinking, answer.text) == ("thinking", THINKING_TEXT, SHORT_TEXT)
    # Only the provider that thought can sign: a signature is never made up.
    assert bool(thinking.signature) == (provider == "ant")
    assert message.usage.output_tokens_details.thinking_tokens == 14


@both_ways
def test_redacted_thinking_passes_through(client, streamed):
    assert [block.type for block in ask(client, "ant/redacted-thinking", streamed).content] == ["redacted_thinking", "text"]


@both_providers
@both_ways
def test_cached_usage(client, provider, streamed):
    usage = ask(client, f"{provider}/cached", streamed).usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens, usage.output_tokens) == (20, 1000, 230, 40)


@both_providers
@both_ways
@pytest.mark.parametrize(
    ("base", "reasons"),
    [
        ("max-tokens", {"oai": "max_tokens", "ant": "max_tokens"}),
        ("stop-sequence", {"oai": "end_turn", "ant": "stop_sequence"}),
        ("refusal", {"oai": "refusal", "ant": "refusal"}),
        ("content-filter", {"oai": "refusal", "ant": "refusal"}),
        ("context-full", {"oai": "max_tokens", "ant": "model_context_window_exceeded"}),
    ],
)
def test_stop_reasons(client, provider, base, reasons, streamed):
    message = ask(client, f"{provider}/{base}", streamed, stop_sequences=["END"])
    assert message.stop_reason == reasons[provider]
    assert message.stop_sequence == ("END" if message.stop_reason == "stop_sequence" else None)


@both_providers
@both_ways
def test_output_cap_reaches_the_provider(client, provider, streamed):
    message = ask(client, f"{provider}/text", streamed, max_tokens=3)
    assert (text(message), message.stop_reason, message.usage.output_tokens) == ("Hello from the ", "max_tokens", 3)


@both_providers
def test_system_and_images_reach_the_provider(client, testkit, provider):
    model, name = named(provider, "echo")
    content = [
        {"type": "text", "text": "Look here"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
    ]
    system = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    assert text(ask(client, name, False, messages=[{"role": "user", "content": content}], system=system)) == "Look here"
    body = json.dumps(testkit.records(model)[0]["body"])
    assert PIXEL in body
    assert "Be brief." in body
    assert ("cache_control" in body) == (provider == "ant")


# The class, the status and the error type that a Messages client sees. A provider that refuses Tollgate's own
# credential is Tollgate's trouble, not the caller's: 502. A provider's 500 may be told from one of Tollgate's own
# by 502.
ERRORS = {
    "e400": (anthropic.BadRequestError, 400, "invalid_request_error"),
    "e400-context": (anthropic.BadRequestError, 400, "invalid_request_error"),
    "e401": (anthropic.InternalServerError, 502, "api_error"),
    "e403": (anthropic.InternalServerError, 502, "api_error"),
    "e404": (anthropic.NotFoundError, 404, "not_found_error"),
    "e429": (anthropic.RateLimitError, 429, "rate_limit_error"),
    "e500": (anthropic.InternalServerError, (500, 502), "api_error"),
    "e503": (anthropic.OverloadedError, 529, "overloaded_error"),
    "e529": (anthropic.OverloadedError, 529, "overloaded_error"),
    "html": (anthropic.InternalServerError, 502, "api_error"),
    "redirect": (anthropic.InternalServerError, 502, "api_error"),
}


@both_providers
@both_ways
@pytest.mark.parametrize("base", ERRORS)
def test_typed_exceptions(client, provider, base, streamed):
    error, status, kind = ERRORS[base]
    with pytest.raises(error) as caught:
        ask(client, f"{provider}/{base}", streamed)
    assert caught.value.status_code in (status if isinstance(status, tuple) else (status,))
    assert (caught.value.body["type"], caught.value.body["error"]["type"]) == ("error", kind)
    assert caught.value.body["request_id"]


def earn_retries(client):
    """Retries are limited to about a tenth of the calls, so that an outage is not multiplied: be healthy first."""
    for _ in range(25):
        ask(client, "ant/size:1", False)


@both_providers
@pytest.mark.parametrize("base", ["e429-once", "e500-once", "e503-once", "e529-once"])
@both_ways
def test_tollgate_retries_for_the_client(client, testkit, provider, base, streamed):
    earn_retries(client)
    model, name = named(provider, base)
    assert text(ask(client, name, streamed)) == SHORT_TEXT
    assert testkit.attempts(model) == 2


@both_providers
@pytest.mark.parametrize("base", ["e500", "e529"])
def test_retries_are_not_multiplied(client, testkit, provider, base):
    earn_retries(client)
    model, name = named(provider, base)
    with pytest.raises(anthropic.APIStatusError) as caught:
        ask(client.with_options(max_retries=2), name, False)
    assert caught.value.response.headers["x-should-retry"] == "false"
    # Tollgate's own attempts and no more: the SDK was told not to add its two.
    assert testkit.attempts(model) in (2, 3)


@both_providers
@pytest.mark.parametrize("base", ["error-mid-stream", "cut-mid-text", "cut-mid-tool", "end-at:900", "cut-at:900", "reset-at:900", "malformed", "bad-framing"])
def test_broken_stream_raises(client, provider, base):
    # What is not JSON may also reach the SDK's own parser: the caller learns of it either way.
    with pytest.raises((anthropic.APIError, ValueError) if base == "malformed" else anthropic.APIError):
        ask(client, f"{provider}/{base}", True)


@both_providers
@pytest.mark.parametrize("base", ["error-after-200", "cut-before-first", "cut-in-head", "empty"])
def test_failure_before_the_first_event_is_an_error_status(client, provider, base):
    with pytest.raises(anthropic.APIStatusError) as caught:
        ask(client, f"{provider}/{base}", True)
    assert caught.value.response.status_code >= 500


@both_providers
def test_leaving_cancels_the_upstream(client, testkit, provider):
    model, name = named(provider, "hang-mid-stream")
    with client.messages.stream(model=name, max_tokens=64, messages=HELLO) as stream:
        next(iter(stream.text_stream))
    assert testkit.ended(model)["end"] == "client_closed"


def test_version_passes_through(client, testkit):
    model, name = named("ant", "text")
    ask(client, name, False)
    version = "2023-06-01" if IS_2023 else "2026-10-21"
    assert dict(testkit.records(model)[0]["headers"])["anthropic-version"] == version


@pytest.mark.skipif(not IS_2023, reason="the 2026-10-21 API and its SDK have no sampling parameters")
@both_providers
def test_sampling_parameters_reach_the_provider(client, testkit, provider):
    model, name = named(provider, "text")
    ask(client, name, False, temperature=0.5)
    assert testkit.records(model)[0]["body"]["temperature"] == 0.5


@pytest.mark.parametrize("key", [virtual_key(), "sk-ant-wrong"], ids=["unknown", "foreign"])
def test_wrong_key_is_an_authentication_error(client, key):
    with pytest.raises(anthropic.AuthenticationError) as caught:
        ask(client.with_options(api_key=key), "ant/text", False)
    assert caught.value.body["error"]["type"] == "authentication_error"
    assert key not in str(caught.value.body)


@pytest.mark.parametrize("header", ["x-api-key", "authorization", "x-goog-api-key"])
def test_key_is_accepted_in_any_header(tollgate, header):
    body = json.dumps({"model": "ant/text", "max_tokens": 64, "messages": HELLO}).encode()
    credential = f"Bearer {tollgate.key}" if header == "authorization" else tollgate.key
    headers = {header: credential, "anthropic-version": "2026-10-21", "content-type": "application/json"}
    request = urllib.request.Request(f"{tollgate.url}/v1/messages", body, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert json.load(answer)["content"][0]["text"] == SHORT_TEXT


@pytest.mark.parametrize("model", ["no-such-model", "nobody/text"])
def test_unknown_model(client, model):
    with pytest.raises(anthropic.NotFoundError):
        ask(client, model, False)


def test_model_list(client):
    assert "tollgate-demo" in [model.id for model in client.models.list()]
    assert client.models.retrieve("tollgate-demo").type == "model"


# === the built-in model ===

QUESTION = [{"role": "user", "content": "What is Tollgate?"}]
COLD = {"messages": QUESTION, **({"temperature": 0} if IS_2023 else {})}


@both_ways
def test_demo_answers_with_exact_usage(client, streamed):
    message = ask(client, "tollgate-demo", streamed, **COLD)
    assert text(message).strip()
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens > 0


@both_ways
def test_demo_honours_the_output_cap(client, streamed):
    message = ask(client, "tollgate-demo", streamed, max_tokens=3, **COLD)
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 3)


def test_demo_refuses_what_does_not_fit_its_window(client):
    # The words that Messages clients look for to know that they must shorten the conversation.
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long"):
        ask(client, "tollgate-demo", False, messages=[{"role": "user", "content": "word " * 100_000}])


@pytest.mark.anyio
async def test_asynchronous_client(tollgate):
    async with anthropic.AsyncAnthropic(base_url=tollgate.url, api_key=tollgate.key) as client:
        async with client.messages.stream(model="oai/text", max_tokens=64, messages=HELLO) as stream:
            assert text(await stream.get_final_message()) == SHORT_TEXT
