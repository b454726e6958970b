"""Writes vectors.json: what an engine that is not ours makes of the model file, for Tollgate's engine to be tested against.

Needs `llama-cpp-python` (and a C++ compiler to build it), which is why it is no part of train.sh:
    pip install llama-cpp-python==0.3.36 && python vectors.py
llama.cpp renders nothing here: the ChatML text is written out below, token ids and greedy continuations are llama.cpp's.
"""

import json
import pathlib
import sys

import llama_cpp

HERE = pathlib.Path(__file__).parent
FILE = HERE.parent.parent / "crates/engine/models/tollgate-demo-q8_0.gguf"
LIMIT = 96

LONG = [("user", "What is a token?"), ("assistant", "A token is a small piece of text, often a word or a part of one. Models read and write tokens, and providers bill by them.")]
CONVERSATIONS = [
    [("user", "Hello")],
    [("user", "What is Tollgate?")],
    [("user", "what does temperature do")],
    [("user", "How do I add a provider?")],
    [("user", "Which port does Tollgate use?")],
    [("user", "What does 429 mean?")],
    [("user", "Show me a curl example")],
    [("user", "What is the difference between top-p and top-k?")],
    [("user", "What is 5 plus 7?")],
    [("user", "Who wrote Hamlet?")],
    [("user", "Was ist das für ein Gerät? Größe: 3 m²")],
    [("user", "東京の天気は?")],
    [("user", "Привет, как дела? 🙂")],
    [("user", "¿Dónde está la estación?\n\nGracias — “amigo”…")],
    [("user", "What is\tstreaming?  \n  Tell me   please!!")],
    [("user", "")],
    [("system", "You are a helpful assistant."), ("user", "What is an embedding?")],
    [("system", "Answer in one sentence."), ("user", "How do I use the Anthropic SDK with Tollgate?")],
    [("system", "Du bist höflich und knapp."), ("user", "What is prompt caching?")],
    [("system", "You're a support agent; don't guess, they'll notice."), ("user", "I can't connect to Tollgate, what's wrong?")],
    [("user", "Hi"), ("assistant", "Hello! I am the demo model inside Tollgate. Ask me about Tollgate or about LLM APIs."), ("user", "What is a system prompt?")],
    [*LONG, ("user", "Who was Napoleon?"), ("assistant", "I am a tiny demo model inside Tollgate."), ("user", "How do I list the models?")],
    [("system", "Be brief."), *LONG, ("user", "Thanks"), ("assistant", "You are welcome!"), ("user", "What is SSE?")],
    [*(LONG * 13), ("user", "What is the licence of Tollgate?")],
]


def rendered(messages):
    return "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in messages) + "<|im_start|>assistant\n"


def continuation(llama, prompt, end):
    """The greedy continuation: the arg max of llama.cpp's logits, and the smallest lead over the runner-up on the way."""
    llama.reset()
    llama.eval(prompt)
    made, lead = [], float("inf")
    while len(made) < LIMIT:
        logits = llama.scores[llama.n_tokens - 1]
        best = int(logits.argmax())
        top = sorted(logits, reverse=True)[:2]
        lead = min(lead, float(top[0] - top[1]))
        made.append(best)
        if best == end:
            break
        llama.eval([best])
    return made, lead


def main():
    llama = llama_cpp.Llama(str(FILE), n_ctx=1024, logits_all=True, n_threads=1, verbose=False)
    end, cases = llama.token_eos(), []
    for messages in CONVERSATIONS:
        text = rendered(messages)
        prompt = llama.tokenize(text.encode(), add_bos=False, special=True)
        made, lead = continuation(llama, prompt, end)
        stopped = made[-1] == end
        cases.append({"messages": [{"role": r, "content": c} for r, c in messages], "prompt": text, "prompt_ids": prompt,
                      "continuation": llama.detokenize(made[:-1] if stopped else made).decode("utf-8", "replace"),
                      "continuation_ids": made, "finish": "stop" if stopped else "length", "smallest_lead": round(lead, 3)})
    shape = {"reference": f"llama-cpp-python {llama_cpp.__version__}", "model": FILE.name, "decoding": "greedy",
             "limit": LIMIT, "eos": end, "cases": cases}
    (HERE / "vectors.json").write_text(json.dumps(shape, indent=1, ensure_ascii=False) + "\n")
    print(f"{len(cases)} cases, {sum(c['finish'] == 'stop' for c in cases)} ended by themselves", file=sys.stderr)


if __name__ == "__main__":
    main()
