"""Random blocks of every quantised encoding, and the numbers that the `gguf` package reads from them.

    python encodings.py ../../crates/engine/tests/vectors/encodings.bin

For each encoding in order: blocks for 256 numbers, then these numbers as F32.
"""

import pathlib
import sys

import gguf
import numpy as np

# Where each block has its halves, which are kept finite.
HALVES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}


def main():
    random = np.random.default_rng(5)
    out = b""
    for name, places in HALVES.items():
        kind = gguf.GGMLQuantizationType[name]
        numbers, size = gguf.GGML_QUANT_SIZES[kind]
        data = random.integers(0, 256, (256 // numbers, size), dtype=np.uint8)
        for place in places:
            halves = random.normal(0, 0.01, len(data)).astype(np.float16)
            data[:, place : place + 2] = halves.view(np.uint8).reshape(-1, 2)
        values = gguf.quants.dequantize(data.reshape(1, -1), kind).astype("<f4")
        out += data.tobytes() + values.tobytes()
    pathlib.Path(sys.argv[1]).write_bytes(out)


main()
