"""The conformance grid as data: which SDKs ask in which dialect, which providers answer in which, what is asked,
and for each cell that cannot be, why, with the vendor's document that says so."""

from dataclasses import dataclass

import sdks
from grid_dialects import Chat, Gemini, Messages, MistralChat, Responses


@dataclass(frozen=True)
class Client:
    dialect: type
    sdk: object
    title: str


CLIENTS = {
    "chat-python": Client(Chat, sdks.OpenAiPython, "Chat completions, `openai` for Python"),
    "chat-js": Client(Chat, "openai", "Chat completions, `openai` for JavaScript"),
    "chat-mistralai": Client(MistralChat, sdks.MistralPython, "Chat completions, `mistralai` for Python"),
    "responses-python": Client(Responses, sdks.OpenAiPython, "Responses, `openai` for Python"),
    "responses-js": Client(Responses, "openai", "Responses, `openai` for JavaScript"),
    "messages-python": Client(Messages, sdks.AnthropicPython, "Messages, `anthropic` for Python"),
    "messages-js": Client(Messages, "anthropic", "Messages, `@anthropic-ai/sdk`"),
    "gemini-python": Client(Gemini, sdks.GenaiPython, "Gemini, `google-genai` for Python"),
}


@dataclass(frozen=True)
class Provider:
    name: str
    dialect: str
    title: str


PROVIDERS = {
    "openai-chat": Provider("openai", "chat", "chat (OpenAI)"),
    "self-hosted": Provider("oai", "chat", "chat (self-hosted)"),
    "mistral": Provider("mistral", "chat", "chat (Mistral)"),
    "openai-responses": Provider("openai", "responses", "Responses (OpenAI)"),
    "messages": Provider("ant", "messages", "Messages (Anthropic)"),
    "gemini": Provider("gem", "gemini", "Gemini (Google)"),
}

FEATURES = {
    "text": "Text",
    "system": "System prompt",
    "stream": "Stream",
    "unicode": "Stream of awkward characters",
    "tool": "Tool call",
    "parallel-tools": "Parallel tool calls",
    "streamed-arguments": "Streamed tool arguments",
    "tool-result": "Tool result",
    "tool-error": "Tool result that is an error",
    "image": "Image (base64)",
    "document": "Document (PDF)",
    "stop": "Stop sequences",
    "schema": "Structured output (JSON Schema)",
    "thinking": "Visible thinking",
    "thinking-turns": "Thinking and its signature across turns",
    "refusal": "Refusal",
    "max-tokens": "End by the token limit",
    "cached": "Usage with cached tokens",
    "error-429": "Error 429",
    "error-404": "Error 404",
    "error-500": "Error 500",
    "error-mid-stream": "Error inside a stream",
    "cut": "Stream that is cut",
    "citations": "Citations",
    "embeddings": "Embeddings",
    "count": "Count of tokens",
}

OPENAI = "OpenAI's OpenAPI document"
HOME_RESPONSES = (
    "OpenAI serves Responses itself (`POST /responses`, OpenAI's API reference), so the call goes there and not to its chat completions"
)
# The first rule that fits a cell tells why it cannot be: (clients, providers, features, reason); None = all.
REASONS = [
    (
        ("responses",),
        ("openai-chat",),
        None,
        HOME_RESPONSES,
    ),
    (
        ("chat", "responses"),
        None,
        {"tool-error"},
        f"A tool's result has no mark for an error: `ChatCompletionRequestToolMessage` and `FunctionToolCallOutput` ({OPENAI}), `ToolMessage` (Mistral's OpenAPI document). Its text tells",
    ),
    (
        None,
        ("openai-responses",),
        {"stop"},
        f"A response has no stop sequences: `CreateResponse` ({OPENAI}) has no such field",
    ),
    (
        ("responses",),
        None,
        {"stop"},
        f"A response has no stop sequences: `CreateResponse` ({OPENAI}) has no such field",
    ),
    (
        ("responses",),
        None,
        {"embeddings"},
        "Embeddings are an operation of their own with the same SDK (`POST /embeddings`, OpenAI's API reference): see chat completions",
    ),
    (
        ("chat", "gemini"),
        ("openai-responses",),
        {"embeddings"},
        "Embeddings are an operation of their own (`POST /embeddings`, OpenAI's API reference): see the column of OpenAI's chat",
    ),
    (
        ("messages", "gemini"),
        ("openai-responses",),
        {"count"},
        "OpenAI counts in one place (`POST /responses/input_tokens`, OpenAI's API reference), whichever way the call goes: see the column of OpenAI's chat",
    ),
    (
        ("messages",),
        None,
        {"embeddings"},
        "Anthropic's API has no embeddings (Anthropic's documentation, “Embeddings”: “Anthropic does not offer its own embedding model”)",
    ),
    (
        None,
        ("messages",),
        {"embeddings"},
        "Anthropic's API has no embeddings (Anthropic's documentation, “Embeddings”: “Anthropic does not offer its own embedding model”)",
    ),
    (
        ("chat",),
        None,
        {"count"},
        f"Chat completions have no count of tokens: no such path in {OPENAI} nor in Mistral's",
    ),
    (
        ("chat",),
        None,
        {"thinking-turns"},
        f"An assistant's message has no field for signed thinking: `ChatCompletionRequestAssistantMessage` ({OPENAI}); the SDK would drop it",
    ),
    (
        None,
        ("openai-chat", "self-hosted"),
        {"thinking-turns"},
        f"The provider signs no thinking: `ChatCompletionResponseMessage` ({OPENAI}) has no field for it",
    ),
]

MISTRAL_SDK = ("chat-mistralai",)
CHATS = ("openai-chat", "self-hosted", "mistral")
REASONS += [
    (
        ("chat",),
        ("openai-responses",),
        {"thinking"},
        f"A chat has no word to ask for it: `reasoning.summary` is a field of `CreateResponse` alone ({OPENAI})",
    ),
    (
        MISTRAL_SDK,
        None,
        {"streamed-arguments"},
        "Mistral streams a call whole, and its SDK takes no part of one: `FunctionCall.name` is required in each (Mistral's OpenAPI document)",
    ),
    (
        MISTRAL_SDK,
        None,
        {"document"},
        f"Mistral's `DocumentURLChunk` is no part of OpenAI's chat, which this endpoint speaks: `ChatCompletionRequestUserMessageContentPart` ({OPENAI})",
    ),
    (
        MISTRAL_SDK,
        None,
        {"thinking"},
        "Mistral's SDK shows thinking as `ThinkChunk` of the content alone (Mistral's OpenAPI document); OpenAI's chat, which this endpoint speaks, has a string there",
    ),
    (
        MISTRAL_SDK,
        CHATS,
        {"refusal"},
        "Mistral's `AssistantMessage` has no refusal (Mistral's OpenAPI document), and OpenAI ends one with `stop`",
    ),
    (
        MISTRAL_SDK,
        None,
        {"citations"},
        "Mistral's `AssistantMessage` has no annotations (Mistral's OpenAPI document), where OpenAI's chat has the citations",
    ),
    (
        MISTRAL_SDK,
        None,
        {"embeddings"},
        f"Mistral's SDK requires `EmbeddingResponse.id` (Mistral's OpenAPI document), which OpenAI's `CreateEmbeddingResponse` does not have ({OPENAI})",
    ),
]

# Cells that fail today: (clients, providers, features, what is wrong). Each is a test that must fail.
KNOWN_FAILURES = [
    (
        ("responses", "messages", "gemini"),
        ("mistral",),
        {"thinking-turns"},
        "Not shown: no scripted provider answers with Mistral's `ThinkChunk` and its signature",
    ),
    (
        MISTRAL_SDK,
        ("mistral",),
        {"tool-result"},
        "Not shown: the scripted provider refuses `prefix`, which `mistralai` puts in every assistant message and Mistral takes",
    ),
]

def reason(*cell):
    """Why a cell cannot be; None when it is tested."""
    return first_rule(REASONS, *cell)


def known_failure(*cell):
    """What is wrong in a cell that fails today."""
    return first_rule(KNOWN_FAILURES, *cell)


def first_rule(rules, client, provider, feature):
    for clients, providers, features, text in rules:
        named = clients is None or client.split("-")[0] in clients or client in clients
        if named and (providers is None or provider in providers) and (features is None or feature in features):
            return text
    return None


def cells():
    return [(client, provider, feature) for client in CLIENTS for provider in PROVIDERS for feature in FEATURES]
