"""The tokenizer: byte-level BPE with GPT-2's splitting, trained on the corpus, and the ChatML framing.

Owns the vocabulary and how a conversation becomes token ids. Does not know what the conversations say.
"""

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

import model

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
END_OF_TEXT, IM_START, IM_END = range(3)


def train(texts):
    bpe = tokenizers.Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=model.VOCAB, special_tokens=SPECIAL, show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    return bpe


def load(path):
    return tokenizers.Tokenizer.from_file(str(path))


class Chat:
    """Renders ChatML to ids. With `dropout`, some merges are skipped: the model meets words in other pieces."""

    def __init__(self, bpe):
        self.plain = bpe
        self.noisy = tokenizers.Tokenizer.from_str(bpe.to_str())
        self.noisy.model.dropout = 0.15
        self.newline = self.text("\n")
        self.ending = [IM_END]

    def text(self, text, dropout=False):
        bpe = self.noisy if dropout else self.plain
        return bpe.encode(text, add_special_tokens=False).ids

    def message(self, role, content, dropout=False):
        # As a rendered template is split: role, newline and content are one stretch of text between two specials.
        return [IM_START, *self.text(f"{role}\n{content}", dropout), IM_END, *self.newline]

    def opening(self):
        return [IM_START, *self.text("assistant\n")]

    def prompt(self, messages):
        return [i for role, content in messages for i in self.message(role, content)] + self.opening()
