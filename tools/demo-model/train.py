"""Makes the demo model: tokenizer, training, score, GGUF file. Run by train.sh.

Everything follows from qa.toml, offtopic.toml and the seed. A checkpoint is written every few minutes; `--resume`
goes on from it, `--export-only` scores and writes it.
"""

import argparse
import json
import math
import pathlib
import pickle
import time

import jax
import numpy as np

import batches
import corpus
import gguf_file
import model
import score
import tokenizer

HERE = pathlib.Path(__file__).parent
WORK = HERE / "work"
FILE = HERE.parent.parent / "crates/engine/models/tollgate-demo-q8_0.gguf"
SEED, PEAK_RATE, WARM_UP = 20261121, 2.5e-3, 60
WHOLE_FIRST, WHOLE_LATER, LATER = (0.4, 8), (0.12, 8), 600
ROWS, LENGTH, LONG_ROWS, LONG_EVERY = 12, 128, 1, 20


def make_tokenizer():
    groups, _ = corpus.load_answers()
    texts = [t for group in groups for q in group for t in (q.text, q.text.lower())]
    texts += [group[0].answer for group in groups] * 2 + corpus.SYSTEMS + corpus.OffTopic("train").texts()
    texts += ["user\n", "assistant\n", "system\n"] * 50
    bpe = tokenizer.train(texts)
    bpe.save(str(WORK / "tokenizer.json"))
    return bpe


def rate_at(step, progress, peak):
    """A short rise, then half a cosine over the progress (0 to 1) of the whole training."""
    return peak * min(1.0, (step + 1) / WARM_UP) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def train(chat, steps, minutes, rate, resume, output):
    """Trains for `steps` steps or `minutes` minutes, whichever ends first; the rate falls to match."""
    source, state, first = batches.Source(chat, SEED, WHOLE_FIRST), model.fresh_state(model.initial_weights(SEED)), 0
    earlier = 0
    if resume and (WORK / "checkpoint.pickle").exists():
        state, earlier = load_checkpoint()
        state, first = jax.tree.map(jax.numpy.array, state), int(state["step"])
        source.rng.seed(SEED + first)
    key, losses, began, cpu = jax.random.key(SEED), [], time.time(), time.process_time()
    for step in range(first, steps):
        progress = max((step - first) / (steps - first), (time.time() - began) / (60 * minutes))
        if progress >= 1:
            break
        source.whole, source.cut_after = WHOLE_FIRST if step < LATER else WHOLE_LATER
        long = step % LONG_EVERY == LONG_EVERY - 1
        batch = source.batch(LONG_ROWS, model.CONTEXT, True) if long else source.batch(ROWS, LENGTH)
        state, loss = model.train_step(state, batch, rate_at(step, progress, rate), jax.random.fold_in(key, step))
        losses.append(float(loss))
        if step % 25 == 24:
            print(f"step {step + 1} loss {np.mean(losses[-25:]):.4f} wall {time.time() - began:.0f} s cpu {time.process_time() - cpu:.0f} s", flush=True)
        if step % 200 == 199:
            save_checkpoint(state, earlier + time.process_time() - cpu)
            quick = score.report(model.through_q8_0(state["ema"]), chat, ["held_out", "held_out_later_wordings", "off_topic_held_out"])
            print({name: s["exact_percent"] for name, s in quick.items()}, flush=True)
            gguf_file.write(output, state["ema"], chat.plain)
    spent = earlier + time.process_time() - cpu
    save_checkpoint(state, spent)
    return state["ema"], {"steps": int(state["step"]), "cpu_seconds": round(spent)}


def save_checkpoint(state, cpu_seconds):
    (WORK / "checkpoint.pickle").write_bytes(pickle.dumps((jax.tree.map(np.asarray, state), cpu_seconds)))


def load_checkpoint():
    return pickle.loads((WORK / "checkpoint.pickle").read_bytes())


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--steps", type=int, default=2200)
    options.add_argument("--minutes", type=float, default=34, help="end after this much wall clock, whatever the step")
    options.add_argument("--rate", type=float, default=PEAK_RATE, help="the highest learning rate")
    options.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    options.add_argument("--export-only", action="store_true", help="score and write the last checkpoint")
    options.add_argument("--output", type=pathlib.Path, default=FILE)
    chosen = options.parse_args()
    WORK.mkdir(exist_ok=True)
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    again = chosen.resume or chosen.export_only
    chat = tokenizer.Chat(tokenizer.load(WORK / "tokenizer.json") if again else make_tokenizer())
    if chosen.export_only:
        state, cpu = load_checkpoint()
        weights, spent = state["ema"], {"steps": int(state["step"]), "cpu_seconds": round(cpu)}
    else:
        weights, spent = train(chat, chosen.steps, chosen.minutes, chosen.rate, chosen.resume, chosen.output)
    gguf_file.write(chosen.output, weights, chat.plain)
    result = {"model": chosen.output.name, "bytes": chosen.output.stat().st_size, "weights": "Q8_0",
              "parameters": int(sum(np.size(w) for w in weights.values())), "training": spent,
              "scores": score.report(model.through_q8_0(weights), chat)}
    (HERE / "score.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
