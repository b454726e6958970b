#!/usr/bin/env python3
"""Writes models.json, the model facts, from a capability table.

    ./generate_models.py SRC > models.json

SRC is a JSON file {"models": {name: {"provider", "mode", "max_input_tokens", "supports_*", ...}}} such as
the capability columns of LiteLLM's model_prices_and_context_window.json (MIT). Only the columns of
`ModelTraits` are taken, only for providers that have a row here, and models with equal facts share an entry.
An absent flag means unknown, never false. Where the vendors' documentation says more or other than the
source, ANTHROPIC and GEMINI below win.
"""

import json
import re
import sys

# The source's provider -> (the row's id, the prefix that the source puts before the names).
PROVIDERS = {
    "anthropic": ("anthropic", ""),
    "deepseek": ("deepseek", "deepseek/"),
    "gemini": ("google", "gemini/"),
    "groq": ("groq", "groq/"),
    "mistral": ("mistral", "mistral/"),
    "openai": ("openai", ""),
    "together_ai": ("together", "together_ai/"),
    "xai": ("xai", "xai/"),
}
MODES = {"chat", "completion", "embedding"}

# The source counts input alone for these: 272,000 + 128,000 = 400,000 and 922,000 + 128,000 = 1,050,000 are
# the documented windows.
INPUT_ONLY = {272_000, 922_000}

FLAGS = {
    "supports_sampling_params": "sampling_params",
    "supports_forced_tool_use": "forced_tool_choice",
    "supports_assistant_prefill": "assistant_prefill",
    "supports_mid_conversation_system": "mid_conversation_system",
    "supports_reasoning": "reasoning",
    "supports_vision": "vision",
    "supports_pdf_input": "pdf",
    "supports_audio_input": "audio_input",
    "supports_function_calling": "tools",
}
LADDER = ["none", "minimal", "low", "medium", "high", "xhigh", "max"]

# platform.claude.com, "Extended thinking" and the "What's new" page of each model.
# prefix of the name: (thinking, always on, forced tool choice, prefill, sampling, system in mid-conversation);
# None = the sources disagree, so nothing is claimed. The longest prefix wins.
ANTHROPIC = {
    "claude-fable-5": ("adaptive", True, True, False, False, True),
    "claude-fable-5-1": ("adaptive", True, False, False, False, True),
    "claude-fable-5-2": ("adaptive", True, False, False, False, True),
    "claude-mythos-5": ("adaptive", True, True, False, False, True),
    "claude-mythos-5-1": ("adaptive", True, False, False, False, True),
    "claude-mythos-5-2": ("adaptive", True, False, False, False, True),
    "claude-mythos-preview": ("adaptive", True, None, False, False, None),
    "claude-opus-5-5": ("adaptive", True, False, False, False, True),
    "claude-sonnet-5-5": ("adaptive", True, False, False, False, True),
    "claude-haiku-5-5": ("adaptive", False, True, False, False, True),
    "claude-opus-5": ("adaptive", False, True, False, False, True),
    "claude-sonnet-5": ("adaptive", False, None, False, False, None),
    "claude-opus-4-8": ("adaptive", False, True, False, False, True),
    "claude-opus-4-7": ("adaptive", False, True, False, False, False),
    "claude-opus-4-6": ("adaptive", False, True, False, True, False),
    "claude-sonnet-4-6": ("adaptive", False, True, False, True, False),
    "claude-opus-4-5": ("budget", False, True, True, True, False),
    "claude-sonnet-4-5": ("budget", False, True, True, True, False),
    "claude-haiku-4-5": ("budget", False, True, True, True, False),
}
# ai.google.dev, "Thinking", and the migration guide of each model. prefix of the name: (thinking, levels or
# (fewest, most) tokens, always on, prefill, sampling); None = nothing is claimed. The longest prefix wins.
ALL_LEVELS = ["minimal", "low", "medium", "high"]
GEMINI = {
    "gemini-2.5-pro": ("budget", (128, 32768), True, None, None),
    "gemini-2.5-flash": ("budget", (1, 24576), False, None, None),
    "gemini-2.5-flash-lite": ("budget", (512, 24576), False, None, None),
    "gemini-3-flash": ("level", [], True, None, None),
    "gemini-3.1-pro": ("level", ALL_LEVELS[1:], True, None, None),
    "gemini-3.1-flash-lite": ("level", ALL_LEVELS, True, None, None),
    "gemini-3.5-flash": ("level", ALL_LEVELS, True, None, None),
    "gemini-3.5-flash-lite": ("level", [], True, False, False),
    "gemini-3.6-flash": ("level", ALL_LEVELS, True, False, False),
    "gemini-3.7-flash": ("level", ALL_LEVELS[1:], True, False, False),
    "gemini-3.8-flash": ("level", ALL_LEVELS[1:], True, False, False),
}
# Listed by the vendor, absent from the source: facts of the model named on the right.
LIKE = {"claude-fable-5-2": "claude-fable-5-1", "claude-mythos-5-2": "claude-mythos-5-1"}


def traits_of(row, provider):
    traits = {}
    window, output = row.get("max_input_tokens"), row.get("max_output_tokens")
    if window in INPUT_ONLY and output and provider == "openai":
        window += output
    if window:
        traits["context_window"] = window
    # An output limit as large as the window is the window said twice.
    if output and row["mode"] != "embedding" and not (window and output >= window):
        traits["max_output_tokens"] = output
    for column, trait in FLAGS.items():
        if column in row:
            traits[trait] = bool(row[column])
    schema = "supports_native_structured_output" if provider == "anthropic" else "supports_response_schema"
    if schema in row:
        traits["structured_output"] = bool(row[schema])
    efforts = efforts_of(row)
    if efforts:
        traits["efforts"] = efforts
    # Such a model reasons when it is not told how much, unless its documentation says that it does not.
    if row.get("x_gateway_chat_rejects_function_tools_unless_effort_none"):
        traits["reasons_by_default"] = row.get("default_reasoning_effort") != "none"
        traits["chat_refuses_tools_while_reasoning"] = True
    return traits


def efforts_of(row):
    if row.get("reasoning_effort_levels"):
        return [effort for effort in LADDER if effort in row["reasoning_effort_levels"]]
    flags = {effort: row.get(f"supports_{effort}_reasoning_effort") for effort in LADDER}
    known = any(value is not None for value in flags.values()) or row.get("supports_output_config")
    if not known:
        return []
    for effort in ("low", "medium", "high"):
        if flags[effort] is None:
            flags[effort] = True
    return [effort for effort in LADDER if flags[effort]]


def longest_prefix(table, name):
    return max((prefix for prefix in table if name.startswith(prefix)), key=len, default=None)


def lay_over(traits, facts):
    for trait, value in facts:
        traits.pop(trait, None)
        if value is not None:
            traits[trait] = value


def lay_over_anthropic(name, traits):
    prefix = longest_prefix(ANTHROPIC, name)
    if prefix is None:
        return
    thinking, always_on, forced, prefill, sampling, system = ANTHROPIC[prefix]
    traits["thinking"] = thinking
    if always_on:
        traits["thinking_always_on"] = True
    lay_over(traits, [
        ("forced_tool_choice", forced),
        ("assistant_prefill", prefill),
        ("sampling_params", sampling),
        ("mid_conversation_system", system),
    ])


def lay_over_gemini(name, traits):
    prefix = longest_prefix(GEMINI, name)
    # Models for pictures and speech share the names and not the habits.
    if prefix is None or "tts" in name or "image" in name:
        return
    thinking, range_, always_on, prefill, sampling = GEMINI[prefix]
    traits["thinking"] = thinking
    if always_on:
        traits["thinking_always_on"] = True
    if thinking == "budget":
        traits["thinking_budget"] = list(range_)
    elif range_:
        traits["efforts"] = range_
    lay_over(traits, [("assistant_prefill", prefill), ("sampling_params", sampling)])


LAY_OVER = {"anthropic": lay_over_anthropic, "google": lay_over_gemini}


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        source = json.load(file)["models"]
    for name, like in LIKE.items():
        source.setdefault(name, source[like])

    facts = {}
    # Prefixed names last: where a model is listed both ways, that entry is the provider's own.
    for name, row in sorted(source.items(), key=lambda item: "/" in item[0]):
        if row["provider"] not in PROVIDERS or row["mode"] not in MODES:
            continue
        provider, prefix = PROVIDERS[row["provider"]]
        name = name.removeprefix(prefix)
        if not prefix and "/" in name:
            continue  # a size or a region of a price list, not a model's name
        traits = traits_of(row, provider)
        if provider in LAY_OVER:
            LAY_OVER[provider](name, traits)
        facts.setdefault(provider, {})[name] = traits

    out = []
    for provider in sorted(facts):
        models = facts[provider]
        groups = {}
        for name in sorted(models):
            base = re.sub(r"-(\d{8}|\d{4}-\d{2}-\d{2})$", "", name)
            if base != name and models.get(base) == models[name]:
                continue  # found by the rule for dated snapshots
            groups.setdefault(json.dumps(models[name], separators=(",", ":")), []).append(name)
        lines = [
            '{"models":%s,"traits":%s}' % (json.dumps(names, separators=(",", ":")), traits)
            for traits, names in groups.items()
        ]
        out.append('"%s":[\n%s\n]' % (provider, ",\n".join(lines)))
    print("{\n%s\n}" % ",\n".join(out))


if __name__ == "__main__":
    main()
