"""Scripts that the grid gives to the testkit, where a built-in name does not do: Tollgate treats a model as its
catalogue knows it, so the name has to be one of the vendor's."""

from harness import SHORT_TEXT, THINKING_TEXT

UNICODE_TEXT = "Grüße, 世界! Ünïcödé 🚀🧪 — naïve café, \"quoted\" \\ and\ttab,\nnew line, data: [DONE] inside."
THOUGHT = {"type": "thinking", "thinking": THINKING_TEXT}
WEATHER_CALL = {"type": "tool_call", "name": "get_weather", "fragments": ['{"location"', ':"Paris","da', 'ys":7}']}
CLOCK_CALL = {"type": "tool_call", "name": "get_time", "fragments": ['{"zone"', ':"Paris"}']}
CACHED = {"input": 20, "cache_read": 1000, "cache_write_5m": 200, "cache_write_1h": 30, "output": 40}
CITED = {"type": "cited", "text": "Paris has 2.1 million inhabitants.", "url": "https://example.com/paris", "title": "Paris"}


def said(text):
    return {"type": "text", "text": text}


# The built-in scripts of the same names, written out.
SCRIPTS = {
    "text": {"reply": [said(SHORT_TEXT)]},
    "unicode": {"reply": [said(UNICODE_TEXT)]},
    "json": {"reply": [said('{"name":"Paris","population":7}')]},
    "tool": {"reply": [WEATHER_CALL], "after_tools": [said("The tool said: 22 degrees (0)")]},
    "parallel-tools": {"reply": [WEATHER_CALL, CLOCK_CALL], "after_tools": [said("The tool said: 22 degrees (0) | 22 degrees (1)")]},
    "thinking": {"reply": [THOUGHT, said(SHORT_TEXT)]},
    "thinking-tool": {"reply": [THOUGHT, CLOCK_CALL], "after_tools": [said("The tool said: 22 degrees")]},
    "refusal": {"reply": [{"type": "refusal", "refusal": "I cannot help with that."}]},
    "max-tokens": {"reply": [said("This text stops in the")], "finish": "length"},
    "cached": {"reply": [said(SHORT_TEXT)], "usage": CACHED},
    "citations": {"reply": [said("According to the source, "), CITED]},
    "e429:30": {"reply": [], "faults": [{"kind": "status", "status": 429, "retry_after": "30"}]},
    "e404": {"reply": [], "faults": [{"kind": "status", "status": 404}]},
    "e500": {"reply": [], "faults": [{"kind": "status", "status": 500}]},
    "error-mid-stream": {"reply": [said(SHORT_TEXT)], "faults": [{"kind": "error_after_events", "events": 6}]},
    "cut-mid-text": {"reply": [said(SHORT_TEXT)], "faults": [{"kind": "cut_after_events", "events": 6}]},
}
# Gemini is asked to show its thoughts only where the model is known to have some.
GEMINI = {"thinking": "gemini-2.5-pro", "thinking-tool": "gemini-3.1-pro-preview"}
# OpenAI takes tools for these models on Responses alone; a date behind a model's name changes nothing.
RESPONSES = {script: f"gpt-5.6-2026-01-{day:02}" for day, script in enumerate(SCRIPTS, 1)}
# Mistral reports the usage of a stream unasked.
MISTRAL = {"text": "unasked-text", "cached": "unasked-cached"}


def register(testkit):
    for names in (GEMINI, RESPONSES, MISTRAL):
        for script, name in names.items():
            faults = [{"kind": "usage_every_chunk"}] if names is MISTRAL else []
            told = SCRIPTS[script]
            testkit.register({"name": name, **told, "faults": [*told.get("faults", []), *faults]})
