"""Measures llama.cpp on a file, per second of CPU time: prompt, generation with 1, 4 and 8 sequences, load, memory.

    python measure.py FILE.gguf [--threads 1]

Prints what `cargo run --release -p tollgate-engine --example speed -- FILE.gguf` prints of the engine here.
"""

import argparse
import resource
import time

import llama_cpp


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    began = time.perf_counter()
    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(
        arguments.file.encode(), llama_cpp.llama_model_default_params()
    )
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx, settings.n_batch, settings.n_ubatch, settings.n_seq_max = 8192, 512, 512, 8
    settings.kv_unified = True
    settings.n_threads = settings.n_threads_batch = arguments.threads
    context = llama_cpp.llama_init_from_model(model, settings)
    print(f"load {time.perf_counter() - began:.2f} s")
    batch = llama_cpp.llama_batch_init(512, 0, 8)
    positions = [0] * 8

    def run(tokens):
        """`tokens` are pairs of a sequence and a token; the last of each sequence gets logits."""
        batch.n_tokens = len(tokens)
        for i, (sequence, token) in enumerate(tokens):
            batch.token[i] = token
            batch.pos[i] = positions[sequence]
            positions[sequence] += 1
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = i + 1 == len(tokens) or tokens[i + 1][0] != sequence
        assert llama_cpp.llama_decode(context, batch) == 0
        llama_cpp.llama_get_logits(context)

    def timed(what, n_tokens, work):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        print(f"{what}: {n_tokens / cpu:.1f} tokens per CPU second, {n_tokens / wall:.1f} per second")

    prompt = [(0, 1000 + i) for i in range(256)]
    run([(1, 5)])
    timed("prompt 256", 256, lambda: run(prompt))
    for n_sequences in (1, 4, 8):
        n_steps = 24
        timed(
            f"generate {n_sequences}",
            n_steps * n_sequences,
            lambda: [run([(s, 2000 + s + i) for s in range(n_sequences)]) for i in range(n_steps)],
        )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


main()
