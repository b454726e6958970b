"""What is taught and what is scored: the questions and answers, their split, and the noise that users bring.

Owns the split into trained and held-out wordings, the off-topic questions and the augmentation. Knows no tokens.
"""

import dataclasses
import hashlib
import itertools
import pathlib
import random
import re
import tomllib

import paraphrase

HERE = pathlib.Path(__file__).parent
HELD_SHARE = 0.25

PREFIXES = ["please tell me ", "tell me ", "can you tell me ", "could you explain ", "I want to know ", "quick question: ", "please ",
            "hi, ", "hello, ", "hey, ", "ok, ", "so ", "and ", "now ", "one more question: ", "well, ", "excuse me, ", "sorry, "]
SUFFIXES = [" please", " thanks", ", please", " in short", " exactly", " again", " in simple words", " then", "?", " ??", "..."]
SYSTEMS = ["You are a helpful assistant.", "You are a helpful, concise assistant.", "Be brief.", "Answer in one sentence.", "Be friendly.",
           "You are a friendly chatbot.", "You are an expert.", "You are a support agent for Tollgate.", "Answer politely.",
           "You are an AI assistant. Today is Monday.", "Keep your answers short and exact.", "You answer questions about software.",
           "Use plain English.", "You are a coding assistant.", "Do not use lists.", "You are a poet.", "You are a teacher.",
           "Answer truthfully and do not make things up.", "Respond in Markdown.", "Think step by step.", "You are Bob.",
           "You are a helpful assistant that speaks to developers. If you do not know something, say so.",
           "The user is a beginner. Explain things simply.", "You work for a small company. Be professional at all times."]
HELD_SYSTEMS = ["You are a terse expert who replies to engineers.", "Always stay calm.", "You are the assistant of a web shop.",
                "Reply as clearly as you can.", "You are a helpful bot. Never use jargon."]


@dataclasses.dataclass(frozen=True)
class Question:
    text: str
    answer: str
    later: bool = False


def plain(text):
    return re.sub(r"[^\w]+", " ", text.lower()).strip()


def digest(text):
    return hashlib.sha256(plain(text).encode()).hexdigest()


def split(wordings, keep=()):
    """The trained and the held-out ones of some wordings: a quarter, the lowest hashes, is held out unless kept."""
    held = [w for w in sorted(wordings, key=digest)[: round(len(wordings) * HELD_SHARE)] if w not in keep]
    return [w for w in wordings if w not in held], held


def load_answers():
    """Per answer the trained questions; and all held-out ones. The first wording, which every user tries, is trained."""
    trained, held = [], []
    for entry in tomllib.loads((HERE / "qa.toml").read_text()).values():
        first, later = entry["q"].strip().splitlines(), entry.get("more", "").strip().splitlines()
        kept, out = split(first, keep=first[:1])
        kept_later, out_later = split(later)
        trained.append([Question(text, entry["a"]) for text in kept + kept_later])
        held += [Question(text, entry["a"]) for text in out] + [Question(text, entry["a"], later=True) for text in out_later]
    known = {plain(q.text) for group in trained for q in group}
    twins = [q.text for q in held if plain(q.text) in known]
    if twins:
        raise SystemExit(f"held-out wordings that are also trained: {twins}")
    return trained, held


class OffTopic:
    """Off-topic questions by template. `part` is "train" or "held"."""

    def __init__(self, part):
        source = tomllib.loads((HERE / "offtopic.toml").read_text())
        self.answer = source["refusal"]
        lists = dict(source[part])
        self.templates = lists.pop("templates").strip().splitlines()
        self.words = {name: re.split(r",\s*", text) if "," in text else text.split() for name, text in lists.items()}

    def question(self, rng, template=None):
        template = template or rng.choice(self.templates)
        fill = lambda slot: nonsense(rng) if slot[1] == "nonsense" else rng.choice(self.words[slot[1]])
        return Question(re.sub(r"\{(\w+)\}", fill, template), self.answer)

    def fixed(self, seed, each):
        """A fixed set with `each` fillings of every template, without repeats."""
        rng = random.Random(seed)
        made = (self.question(rng, t) for t in self.templates for _ in range(each if "{" in t else 1))
        return list(dict.fromkeys(made))

    def texts(self):
        return [*self.templates, *itertools.chain.from_iterable(self.words.values()), self.answer]


def nonsense(rng):
    """A word that means nothing, so that unknown words are met in training."""
    syllable = lambda: rng.choice(["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "z", "bl", "tr", "st", "ch", "sh", ""]) \
        + rng.choice("aeiouy") + rng.choice(["", "", "n", "r", "l", "s", "t", "m", "ck", "rt", "ng"])
    return "".join(syllable() for _ in range(rng.randint(1, 4)))


def typo(rng, text):
    if len(text) < 5:
        return text
    i = rng.randrange(1, len(text) - 1)
    return rng.choice([text[:i] + text[i + 1:], text[:i] + text[i] + text[i:], text[:i] + text[i + 1] + text[i] + text[i + 2:]])


def noisy(rng, text):
    """The question as another hand would type it. Most are left close to the source."""
    if rng.random() < 0.25:
        return text
    if rng.random() < 0.1 and len(text.split()) > 4:
        words = text.split()
        words.pop(rng.randrange(len(words) - 1) if rng.random() < 0.8 else 0)
        text = " ".join(words)
    if rng.random() < 0.2:
        text = rng.choice(PREFIXES) + text[:1].lower() + text[1:]
    if rng.random() < 0.1:
        text = text.rstrip("?.!") + rng.choice(SUFFIXES)
    if rng.random() < 0.07:
        text = typo(rng, text)
    case = rng.random()
    if case < 0.4:
        text = text.lower()
    elif case < 0.43:
        text = text.upper()
    elif case < 0.5:
        text = text[:1].upper() + text[1:]
    if rng.random() < 0.4:
        text = text.rstrip("?.!")
    elif rng.random() < 0.1:
        text = text.rstrip("?.!") + rng.choice(["!", ".", "?", " ?"])
    return text


def reworded(rng, text):
    """A question about a known subject in other words. Subjects and answers stay."""
    chance = rng.random()
    if chance < 0.35:
        text = paraphrase.reopened(rng, text)
    if rng.random() < 0.4:
        text = paraphrase.with_synonyms(rng, text)
    if chance > 0.94:
        text = paraphrase.key_words(rng, text)
    return text


def system_message(rng):
    """A system prompt, sometimes of two sentences."""
    first = rng.choice(SYSTEMS)
    return first if rng.random() < 0.7 else f"{first} {rng.choice(SYSTEMS)}"
