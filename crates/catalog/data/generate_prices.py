#!/usr/bin/env python3
"""Writes prices.json, the built-in price book, from published price tables.

    ./generate_prices.py AS_OF LITELLM MODELS > prices.json

AS_OF is the day of the tables (2026-11-20). LITELLM is LiteLLM's model_prices_and_context_window.json (MIT),
dollars for one unit, which wins. MODELS is {"models": {name: {"provider", "model", "record_source",
"usd_per_mtok"}}}, of which only the rows from models.dev (MIT) that LITELLM lacks are taken.

Figures are read as decimals and written as decimal strings of dollars for one million units; no float touches
them. What is not taken, and why, goes to stderr: a wrong price is worse than none, because a model without a
price is refused and a model with a wrong one is billed.
"""

import hashlib
import json
import re
import sys
from decimal import ROUND_HALF_EVEN, Decimal

# The source's provider -> (the row's id, the prefix that the source puts before the names).
PROVIDERS = {
    "anthropic": ("anthropic", "anthropic/"),
    "cohere": ("cohere", "cohere/"),
    "cohere_chat": ("cohere", "cohere_chat/"),
    "deepseek": ("deepseek", "deepseek/"),
    "gemini": ("google", "gemini/"),
    "groq": ("groq", "groq/"),
    "mistral": ("mistral", "mistral/"),
    "openai": ("openai", "openai/"),
    "text-completion-openai": ("openai", "text-completion-openai/"),
    "together_ai": ("together", "together_ai/"),
    "xai": ("xai", "xai/"),
}
# Charged by something that a call's usage does not have: pages, seconds of video, minutes of a session.
NO_MODES = {"ocr", "realtime", "search", "video_generation"}

COLUMNS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    # The longer of the two lifetimes: an hour at Anthropic, twelve hours at OpenAI.
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "cache_creation_input_token_cost_above_12hr": "cache_write_1h",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_audio_token": "audio_input",
    "output_cost_per_audio_token": "audio_output",
    "input_cost_per_image_token": "image_input",
    "output_cost_per_image_token": "image_output",
    "input_cost_per_character": "character",
}
TOKENS = {"input", "output", "cache_read", "cache_write", "cache_write_1h", "reasoning",
          "audio_input", "audio_output", "image_input", "image_output"}
ORDER = ["input", "output", "cache_read", "cache_write", "cache_write_1h", "reasoning", "audio_input",
         "audio_output", "image_input", "image_output", "search", "image", "audio_second", "character"]
STAND_INS = {"reasoning": "output", "audio_input": "input", "audio_output": "output", "image_input": "input",
             "image_output": "output"}
TIERS = {"batches": "batch", "flex": "flex", "priority": "priority", "ultrafast": "fast"}
CONTEXT = re.compile(r"_above_(\d+)k_tokens")

# developers.openai.com, "Moderation": the endpoint is free of charge.
FREE = {("openai", "omni-moderation-latest"), ("openai", "omni-moderation-2024-09-26")}
WRONG = {("cohere", "embed-multilingual-light-v3.0"): "a thousand times the price of its siblings"}


def leave_out(provider, name, why):
    print(f"left out: {provider}/{name}: {why}", file=sys.stderr)


def per_million(figure):
    """Dollars for one unit -> dollars for a million, with at most nine decimals."""
    exact = Decimal(str(figure)) * 1_000_000
    return exact.quantize(Decimal("0.000000001"), ROUND_HALF_EVEN).normalize()


def price_of(row):
    """The price of one row of LITELLM: {"input": Decimal, ..., "above": {...}, "batch": {...}, "us": Decimal}."""
    price = {}
    for column, figure in row.items():
        name, tier = column, None
        for suffix, known in TIERS.items():
            if name.endswith("_" + suffix):
                name, tier = name.removesuffix("_" + suffix), known
        context = CONTEXT.search(name)
        name = COLUMNS.get(CONTEXT.sub("", name))
        if name is None or figure is None:
            continue
        level = price.setdefault(tier, {}) if tier else price
        if context:
            level = level.setdefault("above", {"tokens": int(context[1]) * 1000})
            assert level["tokens"] == int(context[1]) * 1000, "two thresholds"
        level[name] = per_million(figure)
    pieces(row, price)
    factors(row, price)
    return price


def pieces(row, price):
    """What is charged by the piece."""
    mode = row.get("mode")
    searches = row.get("search_context_cost_per_query")
    if searches:
        # The usage does not say how much context a search took: the dearest.
        price["search"] = per_million(max(searches.values()))
    elif mode == "rerank" and row.get("input_cost_per_query"):
        price["search"] = per_million(row["input_cost_per_query"])
    # Where pictures have a price by the token, that by the piece says the same again.
    image = row.get("output_cost_per_image") or row.get("input_cost_per_image")
    if mode == "image_generation" and image and "image_output" not in price:
        price["image"] = per_million(image)
    # Some rows say it once for what goes in and again for what comes out.
    second = row.get("input_cost_per_second") or row.get("output_cost_per_second")
    if mode in ("audio_transcription", "audio_speech") and second and "input" not in price:
        # Sound is counted in milliseconds, so a second may have six decimals.
        price["audio_second"] = per_million(second).quantize(Decimal("0.000001")).normalize()


def factors(row, price):
    entry = row.get("provider_specific_entry") or {}
    us = entry.get("us") or row.get("regional_processing_uplift_multiplier_us")
    if us:
        price["us"] = Decimal(str(us)).normalize()
    # Its fast mode multiplies everything that is counted in tokens.
    if entry.get("fast") and "fast" not in price:
        fast = Decimal(str(entry["fast"]))
        price["fast"] = {name: price[name] * fast for name in ORDER if name in TOKENS and name in price}


def old_price_of(row):
    """The price of one row of MODELS, which is in dollars for a million."""
    names = {"cache_write_default": "cache_write", "input_audio": "audio_input", "output_audio": "audio_output"}
    known = row.get("usd_per_mtok", {})
    return {names.get(name, name): Decimal(str(known[name])).normalize() for name in known
            if names.get(name, name) in TOKENS}


def without_zeros(level):
    """A zero in the sources means that nobody wrote a price, or that there is nothing of that kind."""
    out = {}
    for name, value in level.items():
        if isinstance(value, dict):
            value = without_zeros(value)
            if set(value) - {"tokens"}:
                out[name] = value
        elif value:
            out[name] = value
    return out


def drop_repeats(price):
    """A kind that costs everywhere what the kind that stands in for it costs says nothing, and would only hide
    that a tier without a rate for it has one for the other."""
    levels = [price] + [price[tier] for tier in TIERS.values() if tier in price]
    levels += [level["above"] for level in levels if "above" in level]
    for kind, stand_in in STAND_INS.items():
        listed = [level for level in levels if kind in level]
        if all(level[kind] == level.get(stand_in) for level in listed):
            for level in listed:
                del level[kind]


def written(level):
    out = {name: value for name, value in level.items() if name == "tokens"}
    out.update({name: format(level[name], "f") for name in ORDER if name in level})
    for name in ("above", "batch", "flex", "priority", "fast"):
        if name in level:
            out[name] = written(level[name])
    if "us" in level:
        out["us"] = format(level["us"], "f")
    return out


def add(book, provider, name, price):
    if (provider, name) in FREE:
        book.setdefault(provider, {})[name] = {"free": True}
        return
    if (provider, name) in WRONG:
        leave_out(provider, name, WRONG[provider, name])
        return
    price = without_zeros(price)
    if price.get("cache_write", 0) < price.get("input", 0) and "cache_write" in price:
        leave_out(provider, name, "its price of a cache write, which is below that of plain input")
        del price["cache_write"]
    drop_repeats(price)
    if not any(kind in price for kind in ORDER):
        leave_out(provider, name, "no price, or zero")
        return
    # Search alone is not the price of a model that reads and writes tokens.
    if set(price) <= {"search", "us"} and "rerank" not in name:
        leave_out(provider, name, "tokens have no price, or zero")
        return
    if "output" in price and "input" not in price:
        leave_out(provider, name, "output has a price, input has none, or zero")
        return
    book.setdefault(provider, {})[name] = written(price)


def main():
    as_of = sys.argv[1]
    with open(sys.argv[2], encoding="utf-8") as file:
        litellm = json.load(file, parse_float=Decimal)
    with open(sys.argv[3], encoding="utf-8") as file:
        models = json.load(file, parse_float=Decimal)["models"]

    book, seen = {}, set()
    # Prefixed names first: where a model is listed both ways, that entry is the provider's own.
    for key, row in sorted(litellm.items(), key=lambda item: "/" not in item[0]):
        if row.get("litellm_provider") not in PROVIDERS:
            continue
        provider, prefix = PROVIDERS[row["litellm_provider"]]
        name = key.removeprefix(prefix)
        if re.search(r"(^|/)\d+-x-\d+/", name) or name.startswith("together-ai-"):
            leave_out(provider, name, "a class of a price list, not a model's name")
        elif row.get("mode") in NO_MODES:
            leave_out(provider, name, f"{row['mode']} is charged by what a usage does not have")
        elif (provider, name) not in seen:
            add(book, provider, name, price_of(row))
        seen.add((provider, name))
    for row in models.values():
        if row["record_source"] != "models.dev" or row["provider"] not in PROVIDERS:
            continue
        provider, name = PROVIDERS[row["provider"]][0], row["model"]
        if (provider, name) not in seen:
            add(book, provider, name, old_price_of(row))

    blocks = []
    for provider in sorted(book):
        lines = [f"{json.dumps(name)}:{json.dumps(book[provider][name], separators=(',', ':'))}"
                 for name in sorted(book[provider])]
        blocks.append('"%s":{\n%s\n}' % (provider, ",\n".join(lines)))
    prices = "{\n%s\n}" % ",\n".join(blocks)
    version = f"{as_of}-{hashlib.sha256(prices.encode()).hexdigest()[:8]}"
    print('{\n"as_of":"%s",\n"version":"%s",\n"prices":%s\n}' % (as_of, version, prices))


if __name__ == "__main__":
    main()
