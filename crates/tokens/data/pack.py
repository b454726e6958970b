"""Packs a published .tiktoken file into the form this crate embeds.

    python3 pack.py o200k_base.tiktoken o200k_base.bin

Output: every token in the order of its rank, one length byte and then its bytes.
"""

import base64
import hashlib
import sys

PUBLISHED = {
    "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d": "o200k_base",
    "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7": "cl100k_base",
}

raw = open(sys.argv[1], "rb").read()
assert hashlib.sha256(raw).hexdigest() in PUBLISHED, "not a published vocabulary"
packed = bytearray()
for rank, line in enumerate(raw.splitlines()):
    text, given = line.split()
    token = base64.b64decode(text)
    assert int(given) == rank and 0 < len(token) < 256
    packed += bytes([len(token)]) + token
open(sys.argv[2], "wb").write(packed)
