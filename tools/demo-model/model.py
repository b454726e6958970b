"""The network: a small llama-architecture decoder in JAX, its optimiser and its 8-bit form.

Owns the shape, the forward pass, the training step and the Q8_0 round trip of the weights. Knows nothing of text.
RoPE turns consecutive pairs (0,1), (2,3), ... of a head, which is llama.cpp's NORM layout for `llama`, so that the
trained q and k rows go into the file as they are.
"""

import functools

import gguf
import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_default_prng_impl", "unsafe_rbg")  # dropout masks at a fifth of the usual cost on a CPU

VOCAB, HIDDEN, LAYERS, HEADS, KV_HEADS, HEAD, FFN = 2048, 256, 4, 4, 2, 64, 512
CONTEXT, ROPE_BASE, EPS = 1024, 10000.0, 1e-5
DROPOUT, DECAY, CLIP, EMA = 0.1, 0.05, 1.0, 0.99
SCORED_SHARE = 0.6

# Names are those of the GGUF file; a matrix is stored (out, in), as the file wants it.
MATRICES = {"attn_q": (HEADS * HEAD, HIDDEN), "attn_k": (KV_HEADS * HEAD, HIDDEN), "attn_v": (KV_HEADS * HEAD, HIDDEN),
            "attn_output": (HIDDEN, HEADS * HEAD), "ffn_gate": (FFN, HIDDEN), "ffn_up": (FFN, HIDDEN), "ffn_down": (HIDDEN, FFN)}


def initial_weights(seed):
    rng = np.random.default_rng(seed)
    weights = {"token_embd": rng.normal(0, 0.04, (VOCAB, HIDDEN)), "output_norm": np.ones(HIDDEN)}
    for layer in range(LAYERS):
        for name, (rows, cols) in MATRICES.items():
            scale = cols ** -0.5 * (0.35 if name in ("attn_output", "ffn_down") else 1.0)
            weights[f"blk.{layer}.{name}"] = rng.normal(0, scale, (rows, cols))
        weights[f"blk.{layer}.attn_norm"] = np.ones(HIDDEN)
        weights[f"blk.{layer}.ffn_norm"] = np.ones(HIDDEN)
    return {name: jnp.asarray(value, jnp.float32) for name, value in weights.items()}


def rms_norm(x, gain):
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + EPS) * gain


def rope_tables(length):
    """Cosine and sine of each place, twice per pair, and the matrix that turns (a, b) into (-b, a) in every pair."""
    angle = np.repeat(np.arange(length)[:, None] * ROPE_BASE ** (-np.arange(0, HEAD, 2) / HEAD), 2, 1)
    quarter = np.zeros((HEAD, HEAD), np.float32)
    quarter[np.arange(1, HEAD, 2), np.arange(0, HEAD, 2)] = -1
    quarter[np.arange(0, HEAD, 2), np.arange(1, HEAD, 2)] = 1
    return jnp.asarray(np.cos(angle), jnp.float32), jnp.asarray(np.sin(angle), jnp.float32), jnp.asarray(quarter)


def rope(x, tables):
    """Rotate the consecutive pairs of the last axis; the axis before it is the place."""
    cos, sin, quarter = tables
    return x * cos + (x @ quarter) * sin


def drop(x, key):
    if key is None:
        return x
    return jnp.where(jax.random.bernoulli(key, 1 - DROPOUT, x.shape), x / (1 - DROPOUT), 0.0)


def attend(w, at, x, mask, tables):
    batch, length, _ = x.shape
    group = HEADS // KV_HEADS

    def heads(name, count):
        return (x @ w[at + name].T).reshape(batch, length, count, HEAD).transpose(0, 2, 1, 3)

    # The query heads of one key head are laid end to end, so that both products are plain matrix products.
    q = rope(heads("attn_q", HEADS), tables).reshape(batch * KV_HEADS, group * length, HEAD)
    k = rope(heads("attn_k", KV_HEADS), tables).reshape(batch * KV_HEADS, length, HEAD)
    v = heads("attn_v", KV_HEADS).reshape(batch * KV_HEADS, length, HEAD)
    scores = (q @ k.transpose(0, 2, 1)).reshape(batch, HEADS, length, length) * HEAD ** -0.5
    weights = jax.nn.softmax(jnp.where(mask[:, None], scores, -1e9), -1)
    mixed = (weights.reshape(batch * KV_HEADS, group * length, length) @ v).reshape(batch, HEADS, length, HEAD)
    return mixed.transpose(0, 2, 1, 3).reshape(batch, length, HEADS * HEAD) @ w[at + "attn_output"].T


def states_of(w, tokens, segments, key=None):
    """What the last layer says of each place. `segments` numbers the conversations packed in a row: none sees another."""
    length = tokens.shape[1]
    tables = rope_tables(length)
    keys = [None] * (LAYERS + 1) if key is None else list(jax.random.split(key, LAYERS + 1))
    mask = jnp.tril(jnp.ones((length, length), bool))[None] & (segments[:, :, None] == segments[:, None, :])
    x = drop(w["token_embd"][tokens], keys.pop())
    for layer in range(LAYERS):
        at = f"blk.{layer}."
        x = x + attend(w, at, rms_norm(x, w[at + "attn_norm"]), mask, tables)
        h = rms_norm(x, w[at + "ffn_norm"])
        h = (jax.nn.silu(h @ w[at + "ffn_gate"].T) * (h @ w[at + "ffn_up"].T)) @ w[at + "ffn_down"].T
        x = x + drop(h, keys.pop())
    return rms_norm(x, w["output_norm"])


def loss_of(w, batch, key):
    """The mean loss of the weighted tokens. Few places have a weight, so logits are made for a share of them only."""
    tokens, segments, weight = batch
    states = states_of(w, tokens[:, :-1], segments[:, :-1], key).reshape(-1, HIDDEN)
    weight, target = weight[:, 1:].reshape(-1), tokens[:, 1:].reshape(-1)
    places = jnp.argsort(-weight)[: int(weight.size * SCORED_SHARE)]
    logp = jax.nn.log_softmax(states[places] @ w["token_embd"].T, -1)
    picked = jnp.take_along_axis(logp, target[places, None], -1)[:, 0]
    return -(picked * weight[places]).sum() / weight[places].sum()


def fresh_state(weights):
    zeros = lambda: jax.tree.map(jnp.zeros_like, weights)
    return {"w": weights, "m": zeros(), "v": zeros(), "ema": jax.tree.map(jnp.copy, weights), "step": jnp.zeros((), jnp.int32)}


@functools.partial(jax.jit, donate_argnums=0)
def train_step(state, batch, rate, key):
    """One AdamW step, and a running mean of the weights: that mean is what is exported."""
    loss, grads = jax.value_and_grad(loss_of)(state["w"], batch, key)
    norm = jnp.sqrt(sum((g * g).sum() for g in jax.tree.leaves(grads)))
    grads = jax.tree.map(lambda g: g * jnp.minimum(1.0, CLIP / (norm + 1e-6)), grads)
    step = state["step"] + 1
    m = jax.tree.map(lambda a, g: 0.9 * a + 0.1 * g, state["m"], grads)
    v = jax.tree.map(lambda a, g: 0.98 * a + 0.02 * g * g, state["v"], grads)

    def moved(w, a, b):
        update = (a / (1 - 0.9 ** step)) / (jnp.sqrt(b / (1 - 0.98 ** step)) + 1e-8)
        return w - rate * (update + (DECAY * w if w.ndim == 2 else 0.0))

    w = jax.tree.map(moved, state["w"], m, v)
    keep = jnp.minimum(EMA, step / (step + 10.0))
    ema = jax.tree.map(lambda e, x: keep * e + (1 - keep) * x, state["ema"], w)
    return {"w": w, "m": m, "v": v, "ema": ema, "step": step}, loss


@jax.jit
def log_probabilities(w, tokens, segments, temperature):
    """For each position: is the next token the most likely one, and its log-probability at `temperature`."""
    logits = states_of(w, tokens[:, :-1], segments[:, :-1]) @ w["token_embd"].T
    logp = jax.nn.log_softmax(logits / temperature, -1)
    target = tokens[:, 1:]
    return jnp.argmax(logits, -1) == target, jnp.take_along_axis(logp, target[..., None], -1)[..., 0]


def through_q8_0(weights):
    """The weights as an engine sees them after it has read the file: matrices through Q8_0, norms as they are."""
    kind = gguf.GGMLQuantizationType.Q8_0
    return {name: jnp.asarray(gguf.dequantize(gguf.quantize(np.asarray(value), kind), kind) if value.ndim == 2 else value)
            for name, value in weights.items()}
