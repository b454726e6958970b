"""Scores weights as an engine would see them: is the whole answer exact under greedy decoding?

The answer is fed along with the question: if at each place the most likely token is the answer's next one, greedy
decoding writes exactly that answer. The same pass gives the exact chance of the answer at temperature 0.7.
"""

import random

import numpy as np

import batches
import corpus
import model

ROW, AT_ONCE, OFF_TOPIC_SEED = 512, 4, 7


def sets():
    """Name -> conversations, each a list of (role, content) that ends with the wanted answer."""
    groups, held = corpus.load_answers()
    trained = [q for group in groups for q in group]
    off_trained, off_held = corpus.OffTopic("train"), corpus.OffTopic("held")
    alone = lambda questions: [[("user", q.text), ("assistant", q.answer)] for q in questions]
    rng = random.Random(11)

    def after_others(q):
        earlier = [rng.choice([rng.choice(trained), off_trained.question(rng)]) for _ in range(rng.randint(1, 3))]
        return [m for e in earlier for m in (("user", e.text), ("assistant", e.answer))] + alone([q])[0]

    off = off_held.fixed(OFF_TOPIC_SEED, 4)
    return {
        "trained": alone(trained),
        "held_out": alone([q for q in held if not q.later]),
        "held_out_later_wordings": alone([q for q in held if q.later]),
        "held_out_lowercase_no_mark": alone([corpus.Question(q.text.lower().rstrip("?.!"), q.answer) for q in held]),
        "held_out_with_unseen_system": [[("system", rng.choice(corpus.HELD_SYSTEMS)), *c] for c in alone(held)],
        "held_out_after_other_turns": [after_others(q) for q in held],
        "off_topic_trained_templates": alone(off_trained.fixed(OFF_TOPIC_SEED, 2)),
        "off_topic_held_out": alone(off),
    }


def long_history(chat, least=800):
    """Held-out questions at the end of conversations of more than `least` tokens."""
    groups, held = corpus.load_answers()
    rng, made = random.Random(13), []
    for q in rng.sample(held, 60):
        messages = []
        while len(chat.prompt(messages)) < least:
            e = rng.choice(rng.choice(groups))
            messages += [("user", e.text), ("assistant", e.answer)]
        made.append(messages + [("user", q.text), ("assistant", q.answer)])
    return made


def judge(weights, chat, conversations, length=ROW):
    """For each conversation: (exact under greedy, chance of the answer at temperature 0.7)."""
    ids, segments, places = batches.scoring_rows(chat, conversations, length)
    pad = -len(ids) % AT_ONCE
    ids, segments = np.pad(ids, ((0, pad), (0, 0))), np.pad(segments, ((0, pad), (0, 0)), constant_values=-1)
    right, chance = [], []
    for at in range(0, len(ids), AT_ONCE):
        hit, logp = model.log_probabilities(weights, ids[at : at + AT_ONCE], segments[at : at + AT_ONCE], 0.7)
        right.append(np.asarray(hit))
        chance.append(np.asarray(logp))
    right, chance = np.concatenate(right), np.concatenate(chance)
    return [(bool(right[r, a - 1 : b - 1].all()), float(np.exp(chance[r, a - 1 : b - 1].sum()))) for r, a, b in places]


def report(weights, chat, names=None):
    result = {}
    for name, conversations in sets().items():
        if names is None or name in names:
            result[name] = summary(judge(weights, chat, conversations))
    if names is None:
        result["held_out_after_800_tokens"] = summary(judge(weights, chat, long_history(chat), model.CONTEXT))
    return result


def summary(judged):
    return {"questions": len(judged), "exact": sum(ok for ok, _ in judged),
            "exact_percent": round(100 * sum(ok for ok, _ in judged) / len(judged), 1),
            "expected_percent_at_temperature_0_7": round(100 * sum(p for _, p in judged) / len(judged), 1)}
