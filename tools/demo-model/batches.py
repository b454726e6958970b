"""Turns the corpus into rows of token ids: conversations packed one after another, each blind to the others.

Owns the mix of a row (how many turns, how much off-topic, how often an answer's first wording) and the weight of each token in the loss.
"""

import random

import numpy as np

import corpus

OFF_TOPIC, WITH_SYSTEM, MULTI_TURN = 0.36, 0.15, 0.1
FIRST_WEIGHT, WAITING, PLAINEST = 2.0, 24, 0.2


class Source:
    """An endless supply of training rows. `whole` is the share of answers that are taught to their end.

    Which answer it is shows in its first tokens, and the rest is soon known by heart: most of the time only the start is
    taught, so that a row holds more questions.
    """

    def __init__(self, chat, seed, whole):
        self.whole, self.cut_after = whole
        self.chat, self.rng = chat, random.Random(seed)
        self.groups, held = corpus.load_answers()
        self.never = {corpus.plain(q.text) for q in held}
        self.off_topic, self.waiting = corpus.OffTopic("train"), []

    def question(self):
        if self.rng.random() < OFF_TOPIC:
            asked = self.off_topic.question(self.rng)
        else:
            group = self.rng.choice(self.groups)
            asked = group[0] if self.rng.random() < PLAINEST else self.rng.choice(group)
            asked = corpus.Question(corpus.reworded(self.rng, asked.text), asked.answer)
        text = corpus.noisy(self.rng, asked.text)
        # A rule may hit upon a held-out wording: that one is not taught.
        return self.question() if corpus.plain(text) in self.never else corpus.Question(text, asked.answer)

    def turn(self, may_cut):
        """Ids and loss weights of one question and its answer. The answer may be cut short: its start decides."""
        asked = self.question()
        head = self.chat.message("user", asked.text, self.rng.random() < 0.15) + self.chat.opening()
        answer = self.chat.text(asked.answer) + self.chat.ending
        refused = asked.answer == self.off_topic.answer
        weights = [FIRST_WEIGHT] + [1.0] * (len(answer) - 1)
        if may_cut and self.rng.random() > self.whole * (0.2 if refused else 1.0):
            answer, weights = answer[: self.cut_after], weights[: self.cut_after]
        elif not may_cut:
            answer, weights = answer + self.chat.newline, weights + [0.0]
        return head + answer, [0.0] * len(head) + weights

    def conversation(self, turns):
        ids, weights = [], []
        if self.rng.random() < WITH_SYSTEM:
            ids = self.chat.message("system", corpus.system_message(self.rng))
            weights = [0.0] * len(ids)
        for left in reversed(range(turns)):
            more, theirs = self.turn(may_cut=left == 0)
            ids, weights = ids + more, weights + theirs
        return ids, weights

    def row(self, length, one_conversation):
        ids, segments, weights, segment = [], [], [], 0
        while len(ids) < length:
            if one_conversation:
                more, theirs = self.conversation(40)
            else:
                while len(self.waiting) < WAITING:
                    self.waiting.append(self.conversation(self.rng.choice([2, 3]) if self.rng.random() < MULTI_TURN else 1))
                room = length - len(ids) if ids else length * 4
                fitting = [c for c in self.waiting if len(c[0]) <= room]
                if not fitting:
                    break
                # The oldest first; near the end of a row the longest that fits.
                chosen = fitting[0] if room > length // 2 else max(fitting, key=lambda c: len(c[0]))
                self.waiting.remove(chosen)
                more, theirs = chosen
            ids, weights = ids + more, weights + theirs
            segments += [segment] * len(more)
            segment += 1
        pad = max(0, length - len(ids))
        return (ids + [0] * pad)[:length], (segments + [segment] * pad)[:length], (weights + [0.0] * pad)[:length]

    def batch(self, rows, length, one_conversation=False):
        made = [self.row(length, one_conversation) for _ in range(rows)]
        ids, segments, weights = zip(*made)
        return np.array(ids, np.int32), np.array(segments, np.int32), np.array(weights, np.float32)


def scoring_rows(chat, conversations, length):
    """Fixed conversations, packed into rows; of each, where its last answer stands: (row, start, end)."""
    rows, places = [[]], []
    for number, messages in enumerate(conversations):
        head = chat.prompt(messages[:-1])
        answer = chat.text(messages[-1][1]) + chat.ending
        if len(head) + len(answer) > length:
            raise SystemExit(f"conversation {number} has more than {length} tokens")
        if len(rows[-1]) + len(head) + len(answer) > length:
            rows.append([])
        start = len(rows[-1]) + len(head)
        places.append((len(rows) - 1, start, start + len(answer)))
        rows[-1] += [(i, number) for i in head + answer]
    ids, segments = np.zeros((len(rows), length), np.int32), np.full((len(rows), length), -1, np.int32)
    for at, row in enumerate(rows):
        ids[at, : len(row)], segments[at, : len(row)] = zip(*row)
    return ids, segments, places
