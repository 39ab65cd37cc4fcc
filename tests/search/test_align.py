"""Alignments against a plain dynamic program, and against edlib."""

from __future__ import annotations

import re

import edlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.strand import reverse_complement
from seqsearch.search import overlap
from seqsearch.search.align import BASE_SETS, Alignments, align, cigar

EQUAL = [(a, b) for a in "ACGTRYSWKMBDHVN" for b in "ACGTRYSWKMBDHVN"
         if a != b and BASE_SETS[ord(a)] & BASE_SETS[ord(b)]]  # fmt: skip


def batch_of(texts: list[str]) -> SequenceBatch:
    return SequenceBatch.from_clean(
        [str(i) for i in range(len(texts))], [t.encode() for t in texts]
    )


def aligned(queries: list[str], references: list[str], threads: int = 1) -> Alignments:
    """Every query with every reference."""
    places = np.tile(np.arange(len(references)), (len(queries), 1))
    return align(batch_of(queries), batch_of(references), places, threads)


def plain_halves(query: str, reference: str) -> int:
    """The least cost in half edits, cell by cell."""
    short, long = (query, reference) if len(query) <= len(reference) else (reference, query)
    row = [0] * (len(long) + 1)
    ends = [len(short)]  # of the last column: what is below a cell hangs over
    for i, base in enumerate(short, start=1):
        before, row = row, [i]
        for j, other in enumerate(long, start=1):
            differs = 0 if BASE_SETS[ord(base)] & BASE_SETS[ord(other)] else 2
            row.append(min(before[j - 1] + differs, before[j] + 2, row[j - 1] + 2))
        ends.append(row[-1] + len(short) - i)
    return min(*row, *ends)


def mutated(rng: np.random.Generator, text: str, rate: float, alphabet: str = "ACGT") -> str:
    pieces = []
    for base in text:
        lot = rng.random()
        if lot < rate / 4:
            continue
        if lot < rate / 2:
            pieces.append(str(rng.choice(list(alphabet))))
        pieces.append(base if lot > rate else str(rng.choice(list(alphabet))))
    return "".join(pieces) or "A"


def related_pairs(seed: int, count: int, longest: int) -> list[tuple[str, str]]:
    """Pieces of one sequence, mutated: inside each other, hanging over, or apart."""
    rng = np.random.default_rng(seed)
    pairs = []
    for number in range(count):
        alphabet = "ACGT" if number % 2 else "ACGTACGTACGTRYSWKMBDHVN"
        base = "".join(rng.choice(list("ACGT"), rng.integers(4, longest)))
        cuts = np.sort(rng.integers(0, len(base) + 1, (2, 2)), axis=1)
        pieces = [base[a:b] or "C" for a, b in cuts]
        rate = float(rng.choice([0, 0.02, 0.1, 0.4]))
        pairs.append((mutated(rng, pieces[0], rate, alphabet), mutated(rng, pieces[1], rate)))
    return pairs


@pytest.mark.parametrize("seed", range(4))
def test_costs_are_those_of_the_plain_dynamic_program(seed: int) -> None:
    for query, reference in related_pairs(seed, 150, 90):
        found = aligned([query, reference], [reference, query])
        expected = [plain_halves(query, reference), plain_halves(reference, query)]
        assert found.found[[0, 1], [0, 1], overlap.HALVES].tolist() == expected


@settings(deadline=None, max_examples=150)
@given(
    query=st.text("ACGTN", min_size=1, max_size=80),
    reference=st.text("ACGTN", min_size=1, max_size=80),
)
def test_any_texts(query: str, reference: str) -> None:
    found = aligned([query], [reference])
    assert found.found[0, 0, overlap.HALVES] == plain_halves(query, reference)
    check_path(found.found[0, 0], query, reference)


def check_path(found: np.ndarray, query: str, reference: str) -> None:
    """What is counted along the path adds up to the cost, and the ends are where they can be."""
    _, matches, mismatches, gaps, opens = (int(value) for value in found[:5])
    q_start, q_end, r_start, r_end = (int(value) for value in found[5:])
    assert 0 <= q_start <= q_end <= len(query)
    assert 0 <= r_start <= r_end <= len(reference)
    left, right = (q_start, len(query) - q_end), (r_start, len(reference) - r_end)
    assert min(left[0], right[0]) == 0
    assert min(left[1], right[1]) == 0
    overhang = sum(left if len(query) <= len(reference) else right)
    assert found[overlap.HALVES] == 2 * (mismatches + gaps) + overhang
    assert (opens > 0) == (gaps > 0)
    assert opens <= gaps
    paired = q_end - q_start + r_end - r_start - gaps  # bases that stand opposite another
    assert paired % 2 == 0
    unknown = paired // 2 - matches - mismatches
    assert unknown >= 0
    if set(query + reference) <= set("ACGT"):
        assert unknown == 0


def test_paths_of_related_pairs_add_up() -> None:
    for query, reference in related_pairs(9, 200, 400):
        found = aligned([query, reference], [reference, query]).found
        check_path(found[0, 0], query, reference)
        check_path(found[1, 1], reference, query)


def test_identity_and_coverage_by_hand() -> None:
    # The query hangs over by CC (2 halves); one substitution, one gap of two bases, one unknown.
    query = "CC" + "ACGTTGCAAGCATTTACCAGGATCCATN"
    reference = "ACGTTGCAAGGATTTACCAGGAGGTCCATGACGTTAACGGAT"
    found = aligned([query], [reference])
    assert found.found[0, 0].tolist() == [8, 26, 1, 2, 1, 2, 30, 0, 30]
    assert found.edits[0, 0] == 4
    assert found.columns[0, 0] == 29
    assert found.identity[0, 0] == np.float32(26 / 29)
    assert found.query_coverage[0, 0] == np.float32(28 / 30)
    assert found.reference_coverage[0, 0] == np.float32(30 / 42)


def edlib_distance(query: str, reference: str) -> tuple[int, bool]:
    """Edits of the shorter inside the longer, and whether it may touch an end of it."""
    short, long = sorted((query, reference), key=len)
    answer = edlib.align(short, long, mode="HW", task="locations", additionalEqualities=EQUAL)
    inside = all(a and b < len(long) - 1 for a, b in answer["locations"] if a is not None)
    return answer["editDistance"], inside


def test_edits_are_edlibs_where_nothing_hangs_over() -> None:
    rng = np.random.default_rng(11)
    compared = 0
    for _ in range(300):
        genome = "".join(rng.choice(list("ACGT"), 900))
        piece = genome[100 : 100 + rng.integers(30, 700)]
        query = mutated(rng, piece, 0.15)
        found = aligned([query, genome], [genome, query])
        expected, is_inside = edlib_distance(query, genome)
        if is_inside:
            assert found.edits[0, 0] == found.edits[1, 1] == expected
            compared += 1
        assert found.edits[0, 0] <= expected
    assert compared > 250


def test_matrices_too_large_to_keep_are_filled_twice() -> None:
    rng = np.random.default_rng(12)
    genome = "".join(rng.choice(list("ACGT"), 9000))
    references = [mutated(rng, genome[a:b], 0.1) for a, b in ((100, 8000), (4000, 9000), (0, 700))]
    query = genome[1000:8500]
    blocks, columns = -(-len(query) // 64), max(map(len, references))
    assert blocks * columns * 16 > overlap.STORED
    found = aligned([query], references)
    for place, reference in enumerate(references):
        check_path(found.found[0, place], query, reference)
    inner = mutated(rng, query[500:7000], 0.1)
    assert aligned([query], [inner]).edits[0, 0] == edlib_distance(query, inner)[0]


def test_neither_threads_nor_neighbours_matter() -> None:
    pairs = related_pairs(13, 60, 500)
    queries, references = [q for q, _ in pairs], [r for _, r in pairs]
    together = aligned(queries, references, threads=2)
    backwards = aligned(queries, references[::-1], threads=1)
    np.testing.assert_array_equal(together.found, backwards.found[:, ::-1])
    alone = aligned(queries[:5], references[:1])
    np.testing.assert_array_equal(together.found[:5, :1], alone.found)


def test_where_no_reference_is_given_nothing_is_aligned() -> None:
    batch = batch_of(["ACGTACGTAA"])
    found = align(batch, batch, np.array([[-1, 0, -1]]))
    assert found.is_aligned.tolist() == [[False, True, False]]
    assert np.isnan(found.identity[0, [0, 2]]).all()
    assert found.identity[0, 1] == 1
    empty = align(batch.slice(0, 0), batch, np.empty((0, 3), np.int64))
    assert empty.identity.shape == (0, 3)


def test_cigars_hold_what_was_counted() -> None:
    for query, reference in related_pairs(15, 400, 200):
        _, matches, mismatches, gaps, opens, *ends = aligned([query], [reference]).found[0, 0]
        text = cigar(query, reference, ends)
        path = [(int(n), kind) for n, kind in re.findall(r"(\d+)([=XMIDS])", text)]
        counts = {kind: sum(n for n, k in path if k == kind) for kind in "=XMIDS"}
        if ends[1] <= ends[0]:
            assert path == []
            continue
        both = counts["="] + counts["X"] + counts["M"]
        assert (counts["="], counts["X"]) == (matches, mismatches)
        assert counts["I"] + counts["D"] == gaps
        assert sum(kind in "ID" for _, kind in path) == opens
        assert both + counts["I"] + counts["S"] == len(query)
        assert both + counts["D"] == ends[3] - ends[2]


def test_odd_queries() -> None:
    rng = np.random.default_rng(14)
    gene = "".join(rng.choice(list("ACGT"), 600))
    contig = "".join(rng.choice(list("ACGT"), 300_000))
    inside = contig[:200_000] + gene + contig[200_000:]
    found = aligned([inside, "N" * 600, gene[:100] + "N" * 500], [gene])
    assert found.found[0, 0, overlap.QUERY_START] == 200_000
    assert found.identity[0, 0] == 1
    assert np.isnan(found.identity[1, 0])  # no column says anything
    assert found.columns[2, 0] == 100
    half = gene[:200]
    palindrome = half + reverse_complement(batch_of([half])).sequence(0)
    turned = reverse_complement(batch_of([palindrome])).sequence(0)
    assert aligned([palindrome], [turned]).identity[0, 0] == 1
    adapter = "".join(rng.choice(list("ACGT"), 30))
    tagged = aligned([adapter + gene + adapter], [gene])
    assert tagged.identity[0, 0] == 1
    assert tagged.query_coverage[0, 0] == np.float32(600 / 660)


def test_a_few_equal_bases_at_the_ends_are_no_identity() -> None:
    rng = np.random.default_rng(5)
    one, other = ("".join(rng.choice(list("ACGT"), 400)) for _ in range(2))
    ends = aligned([one + "ACGTACGTAC"], ["ACGTACGTAC" + other])
    assert ends.supported_identity[0, 0] < 0.7
    half = aligned([one], [one[200:] + other[:200]])
    assert half.supported_identity[0, 0] == half.compressed_identity[0, 0] > 0.95
    within = aligned([one[100:200]], [one])
    assert within.supported_identity[0, 0] == 1
