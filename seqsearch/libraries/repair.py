"""One path for one name: paths that differ only in gaps or middle ranks become one.

The codes of nomenclature let a scientific name stand once in a kingdom, so within a phylum two
paths to the same genus or binomial are one taxon that two sources classified differently. Informal
names ("Family XI", "casei") carry no such promise: they are united over gaps only.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from seqsearch.tables import Int32, Int64
from seqsearch.taxonomy import sorted_codes

Path = tuple[int, ...]  # words by rank, numbered as they sort; 0 at gaps
_SCIENTIFIC = re.compile(r"[A-Z][a-zë]+(-[a-z]+)?([ _](x[ _])?[a-z][a-z-]+.*)?")
_INFORMAL = re.compile(
    r"(?i)(uncultured|unidentified|unclassified|unknown|environmental|metagenome|group|clade|family"
    r"|order|class|candidate|bacterium|incertae|subgroup|lineage)([ _].*)?"
)


@dataclass(frozen=True)
class Repair:
    """One name whose path was changed.

    Attributes
    ----------
    rank, name : str
    records : int
        How many records had the path.
    old, new : tuple of str
        Names above, highest first; "" at gaps.
    """

    rank: str
    name: str
    records: int
    old: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True)
class _Paths:
    """Paths as numbers of words, changed in place.

    Attributes
    ----------
    ranks : sequence of str
    words : list of pyarrow string
        By rank, ascending.
    codes : (n, ranks) int32
        Place among the words of the rank, from 1; 0 at gaps.
    counts : (n,) int64
        Records that have the path.
    """

    ranks: Sequence[str]
    words: list[pa.StringArray]
    codes: Int32
    counts: Int64

    def names(self, path: Path) -> tuple[str, ...]:
        """Return the names of a path that begins at the highest rank."""
        return tuple(self.words[i][c - 1].as_py() if c else "" for i, c in enumerate(path))


def commonest_paths(
    ranks: Sequence[str], columns: Sequence[pa.Array], counts: Int64 | None = None
) -> tuple[list[pa.StringArray], list[Repair]]:
    """Give every name of one rank and phylum the commonest of its paths.

    Parameters
    ----------
    ranks : sequence of str
        Highest first. Names are united below the phylum (division, or the first rank).
    columns : sequence of (n,) pyarrow string
        Names by rank; null or "" at gaps.
    counts : (n,) int64, optional
        How many records stand for each line; one, if not given.

    Returns
    -------
    list of (n,) pyarrow string
        The columns, repaired; null at gaps.
    list of Repair
        In the order in which they were made: by rank, then by name.

    Examples
    --------
    >>> import pyarrow as pa
    >>> columns = [
    ...     pa.array(["Chordata"] * 2),
    ...     pa.array(["A", "B"]),
    ...     pa.array(["Latimeria"] * 2),
    ... ]
    >>> ranks = ["phylum", "order", "genus"]
    >>> fixed, repairs = commonest_paths(ranks, columns, np.array([2, 1]))
    >>> fixed[1].to_pylist(), repairs[0].old
    (['A', 'A'], ('Chordata', 'B'))
    """
    if not columns:  # no record has a name at any rank
        return [], []
    coded = [sorted_codes(column) for column in columns]
    codes = np.stack([own for own, _ in coded], axis=1).astype(np.int32) + 1
    counts = np.ones(len(codes), np.int64) if counts is None else counts
    paths = _Paths(ranks, [words for _, words in coded], codes, counts)
    repairs: list[Repair] = []
    anchor = _anchor(ranks)
    settled = -1
    while settled < len(repairs):  # a way that goes may leave others above it without a rival
        settled = len(repairs)
        for position in range(anchor + 1, len(ranks)):
            repairs += _unite_at(position, anchor, paths)
    places = (pa.array(codes[:, i] - 1, mask=codes[:, i] == 0) for i in range(len(ranks)))
    return [words.take(at) for words, at in zip(paths.words, places, strict=True)], repairs


def _anchor(ranks: Sequence[str]) -> int:
    """Position of the rank within which a scientific name is taken to be unique."""
    return next((list(ranks).index(r) for r in ("phylum", "division") if r in ranks), 0)


def _unite_at(position: int, anchor: int, paths: _Paths) -> list[Repair]:
    """Rewrite paths so that the names at one position have one way up each."""
    lines = _with_several_ways(position, paths.codes)
    ways: dict[int, dict[Path, int]] = defaultdict(lambda: defaultdict(int))
    names, uppers = paths.codes[lines, position].tolist(), paths.codes[lines, :position].tolist()
    for name, upper, count in zip(names, uppers, paths.counts[lines].tolist(), strict=True):
        ways[name][tuple(upper)] += count
    changes: dict[tuple[int, Path], Path] = {}
    repairs = []
    for name in sorted(ways):
        word = paths.words[position][name - 1].as_py()
        for old, new in sorted(_united(word, ways[name], anchor).items()):
            changes[name, old] = new
            told = (paths.names(old), paths.names(new))
            repairs.append(Repair(paths.ranks[position], word, ways[name][old], *told))
    for line, name, upper in zip(lines.tolist(), names, uppers, strict=True):
        changed = changes.get((name, tuple(upper)))
        if changed is not None:
            paths.codes[line, :position] = changed
    return repairs


def _with_several_ways(position: int, codes: Int32) -> Int64:
    """Return the lines whose name at a position stands below different ways, ascending."""
    named = np.flatnonzero(codes[:, position])
    way = np.zeros(len(named), np.int64)
    for column in codes[named, :position].T:
        way = np.unique(way * (int(column.max(initial=0)) + 1) + column, return_inverse=True)[1]
    name = codes[named, position].astype(np.int64)
    pairs = np.unique(name * (int(way.max(initial=0)) + 1) + way)
    of_pair = pairs // (int(way.max(initial=0)) + 1)
    several = of_pair[1:][of_pair[1:] == of_pair[:-1]]
    return named[np.isin(name, several)]


def _united(name: str, ways: dict[Path, int], anchor: int) -> dict[Path, Path]:
    """Return the ways up that change, with what they become."""
    result: dict[Path, Path] = {}
    weights = dict(ways)
    is_scientific = bool(_SCIENTIFIC.fullmatch(name)) and not _INFORMAL.fullmatch(name)
    # Ways with gaps first, emptiest first, each into the commonest way that fills its gaps.
    for way in sorted(ways, key=lambda w: (sum(map(bool, w)), w)):
        fuller = [other for other in weights if other != way and _fills(other, way)]
        phyla = {other[anchor] for other in fuller}
        if fuller and len(phyla) == 1 and (is_scientific or len(fuller) == 1):
            result[way] = _commonest(fuller, weights)
            weights[result[way]] += weights.pop(way)
    if is_scientific:
        for phylum in {way[anchor] for way in weights if way[anchor]}:
            own = [way for way in weights if way[anchor] == phylum]
            best = _commonest(own, weights)
            result.update({way: best for way in own if way != best})
    return {way: _resolved(way, result) for way in result}


def _fills(fuller: Path, way: Path) -> bool:
    return all(not b or a == b for a, b in zip(fuller, way, strict=True))


def _commonest(ways: list[Path], weights: dict[Path, int]) -> Path:
    return min(ways, key=lambda way: (-weights[way], way))


def _resolved(way: Path, changes: dict[Path, Path]) -> Path:
    while way in changes:
        way = changes[way]
    return way
