"""Digests are equal where the sequences are, wherever these stand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.digests import Numbering, digests, text_digests

MASK = (1 << 64) - 1


def batch_of(texts: list[str]) -> SequenceBatch:
    return SequenceBatch.from_clean(["x"] * len(texts), [text.encode() for text in texts])


def mixed(x: int) -> int:
    """SplitMix64's finaliser in Python's own integers."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


def slow_digest(text: str) -> tuple[int, int]:
    first, second = 0xCBF29CE484222325, 0x9E3779B97F4A7C15
    for byte in text.encode():
        first = (first ^ byte) * 0x100000001B3 & MASK
        second = (second + byte) * 0xD6E8FEB86659FD93 & MASK
    return mixed(first), mixed(second)


@settings(deadline=None)
@given(texts=st.lists(st.text("AC", max_size=5), max_size=30), data=st.data())
def test_equal_if_and_only_if_the_sequences_are(texts: list[str], data: st.DataObject) -> None:
    found = [tuple(map(int, digest)) for digest in digests(batch_of(texts))]
    assert found == [slow_digest(text) for text in texts]
    assert len(set(found)) == len(set(texts))
    order = data.draw(st.permutations(range(len(texts))))
    moved = digests(batch_of([texts[i] for i in order]))
    assert [tuple(map(int, digest)) for digest in moved] == [found[i] for i in order]


def test_no_two_of_many_alike_sequences_share_a_digest() -> None:
    rng = np.random.default_rng(4)
    base = rng.choice(np.frombuffer(b"ACGT", np.uint8), 600)
    texts = {base.tobytes()}
    for at in range(600):  # every single substitution, every cut, every doubled base
        texts |= {base[:at].tobytes(), np.insert(base, at, base[at]).tobytes()}
        for letter in b"ACGTN":
            changed = base.copy()
            changed[at] = letter
            texts.add(changed.tobytes())
    texts |= {bytes([letter]) * n for letter in b"ACGTN" for n in range(1, 700)}
    # Thue-Morse words are where hashes modulo 2^64 fail; from 1,024 bases on these would too.
    word, other = b"A", b"C"
    for _ in range(9):
        word, other = word + other, other + word
        texts |= {word, other}
    batch = SequenceBatch.from_clean(["x"] * len(texts), sorted(texts))
    found = digests(batch)
    assert len(np.unique(found, axis=0)) == len(texts)
    assert len(np.unique(found[:, 0])) == len(texts)


def test_a_slice_has_the_digests_of_its_sequences() -> None:
    batch = batch_of(["ACGT", "GG", "ACGT", "TTA"])
    assert np.array_equal(digests(batch.slice(1, 4)), digests(batch)[1:4])


def test_texts_have_the_digests_of_their_bytes_and_null_has_none() -> None:
    texts = [None, "Apis mellifera", "", "N\u00e6via", None, "Apis mellifera"]
    array = pa.array(["before", *texts, "after"]).slice(1, len(texts))
    expected = [(0, 0) if text is None else slow_digest(text) for text in texts]
    assert text_digests(array).tolist() == [list(one) for one in expected]
    assert text_digests(pa.nulls(2, pa.string())).tolist() == [[0, 0], [0, 0]]
    assert len(text_digests(pa.array([], pa.string()))) == 0


def test_numbers_are_those_of_a_dictionary_and_tables_grow() -> None:
    rng = np.random.default_rng(0)
    numbering, known = Numbering(), {}
    for size in (0, 1, 3000, 5000, 10, 20000):
        # Few low words, so that most places in the table are taken when they are looked at.
        hashes = rng.integers(0, [9000, 50], (size, 2)).astype(np.uint64)
        expected = [known.setdefault(tuple(one), len(known)) for one in hashes.tolist()]
        assert numbering.add(hashes).tolist() == expected
        assert numbering.find(hashes).tolist() == expected
    assert len(numbering) == len(known)
    assert [tuple(one) for one in numbering.hashes.tolist()] == list(known)
    assert numbering.find(np.array([[9001, 1]], np.uint64)).tolist() == [-1]
