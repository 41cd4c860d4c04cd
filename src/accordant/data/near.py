"""Near-duplicates: texts that share most of their runs of five words.

Each text becomes the set of its word 5-shingles (letters and digits only, without regard to case). MinHash signatures in bands
propose candidates, and the Jaccard similarity of the sets themselves decides, so that no pair is reported that is not one. A
pair at the default threshold is proposed with probability 1 - (1 - 0.7^4)^32 = 0.9998; one of 0.5 still with 0.87.

Source: Broder 1997, "On the resemblance and containment of documents"; the bands are those of Leskovec, Rajaraman and Ullman,
"Mining of Massive Datasets", section 3.4. Where a text has more than 32 candidates, those whose signatures agree most are
compared. Left out: paraphrases, which share no words in a row.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 0.7  # Jaccard similarity from which two texts are called near-duplicates
WORDS = 5  # words of a shingle
_BANDS, _ROWS = 32, 4
_VERIFIED = 32  # candidates of one text whose sets are compared
_CHUNK = 4096  # shingles hashed at once: bounds the memory that a long document takes

Shingles = NDArray[np.uint64]
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Near:
    """Text `index` is like the earlier text `other`, with this Jaccard similarity."""

    index: int
    other: int
    similarity: float


def near_duplicates(texts: Sequence[str], threshold: float = THRESHOLD, first: int = 0) -> list[Near]:
    """For each text that is like an earlier one: the most similar of those (the earliest where several are equally so).

    Args:
        texts: compared by their words; texts without a word are like nothing.
        threshold: Jaccard similarity of the shingle sets, in (0, 1], from which two texts count as alike.
        first: 0 compares each text with all earlier ones; another number compares the texts from there on with those before
            it, and with those only (as with another file's).

    Raises:
        ValueError: the threshold is out of range.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"the threshold is {threshold}: a Jaccard similarity is above 0 and at most 1")
    seen: dict[tuple[int, bytes], list[int]] = {}
    sets = [shingles(text) for text in texts]
    same: dict[bytes, int] = {}  # identical sets are compared once, as the first of them
    signatures = np.empty((len(texts), _BANDS * _ROWS), dtype=np.uint64)
    found: list[Near] = []
    for index, own in enumerate(sets):
        if not len(own):
            continue
        known = not first or index < first
        twin = same.setdefault(own.tobytes(), index) if known else same.get(own.tobytes(), index)
        if twin != index:
            best: Near | None = Near(index, twin, 1.0)
        else:
            signatures[index] = _signature(own)
            bands = [(band, signatures[index, band * _ROWS : (band + 1) * _ROWS].tobytes()) for band in range(_BANDS)]
            candidates = np.array(sorted({i for band in bands for i in seen.get(band, ())}), dtype=np.int64)
            alike = [Near(index, i, jaccard(own, sets[i])) for i in _likeliest(signatures, index, candidates)]
            best = max(alike, key=lambda near: (near.similarity, -near.other), default=None)
            for band in bands if known else ():
                seen.setdefault(band, []).append(index)
        if best is not None and best.similarity >= threshold and index >= first:
            found.append(best)
    return found


def shingles(text: str, words: int = WORDS) -> Shingles:
    """The sorted set of hashes of all runs of `words` words; a shorter text is one run, a text without words none."""
    found = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    if not found:
        return np.empty(0, dtype=np.uint64)
    ids = {
        word: int.from_bytes(hashlib.blake2b(word.encode(errors="surrogatepass"), digest_size=8).digest())
        for word in set(found)
    }
    hashes = np.array([ids[word] for word in found], dtype=np.uint64)
    span = min(words, len(hashes))
    total = np.zeros(len(hashes) - span + 1, dtype=np.uint64)
    for offset in range(span):
        total = _mix(total + hashes[offset : offset + len(total)])
    return np.unique(total)


def jaccard(a: Shingles, b: Shingles) -> float:
    """|a and b| / |a or b| of two sorted sets; 0 where both are empty."""
    both = len(np.intersect1d(a, b, assume_unique=True))
    either = len(a) + len(b) - both
    return both / either if either else 0.0


def _signature(own: Shingles) -> Shingles:
    """The least hash under each of the salts: two texts of similarity s agree in each place with probability s."""
    least = np.full(_BANDS * _ROWS, np.iinfo(np.uint64).max, dtype=np.uint64)
    for start in range(0, len(own), _CHUNK):
        np.minimum(least, _mix(own[None, start : start + _CHUNK] ^ _SALTS[:, None]).min(axis=1), out=least)
    return least


def _likeliest(signatures: Shingles, index: int, candidates: NDArray[np.int64]) -> list[int]:
    """At most `_VERIFIED` candidates, those whose signatures agree most: thousands of rows may share one long preamble."""
    agree = (signatures[candidates] == signatures[index]).sum(axis=1)
    return [int(i) for i in candidates[np.argsort(-agree, kind="stable")][:_VERIFIED]]


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser, modulo 2**64: a bijection in which every bit of the input moves every bit of the output."""
    x = (x + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


_SALTS = _mix(np.arange(_BANDS * _ROWS, dtype=np.uint64) * np.uint64(0xD1342543DE82EF95))
