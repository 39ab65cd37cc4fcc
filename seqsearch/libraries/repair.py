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
import pyarrow.compute as pc

from seqsearch.tables import one_array, to_numpy

Path = tuple[str, ...]
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
    old: Path
    new: Path


def commonest_paths(
    ranks: Sequence[str], columns: Sequence[pa.Array]
) -> tuple[list[pa.StringArray], list[Repair]]:
    """Give every name of one rank and phylum the commonest of its paths.

    Parameters
    ----------
    ranks : sequence of str
        Highest first. Names are united below the phylum (division, or the first rank).
    columns : sequence of (n,) pyarrow string
        Names by rank; null or "" at gaps.

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
    ...     pa.array(["Chordata"] * 3),
    ...     pa.array(["A", "A", "B"]),
    ...     pa.array(["Latimeria"] * 3),
    ... ]
    >>> fixed, repairs = commonest_paths(["phylum", "order", "genus"], columns)
    >>> fixed[1].to_pylist(), repairs[0].old
    (['A', 'A', 'A'], ('Chordata', 'B'))
    """
    table = pa.table([pc.fill_null(one_array(c), "") for c in columns], names=list(ranks))
    keyed = table.append_column("record", pa.array(np.arange(len(table))))
    grouped = keyed.group_by(list(ranks)).aggregate([("record", "list")])
    records = one_array(grouped["record_list"])
    counts = to_numpy(pc.list_value_length(records)).tolist()
    paths: list[Path] = list(zip(*(grouped[r].to_pylist() for r in ranks), strict=True))
    repairs: list[Repair] = []
    anchor = _anchor(ranks)
    settled = -1
    while settled < len(repairs):  # a way that goes may leave others above it without a rival
        settled = len(repairs)
        for position in range(anchor + 1, len(ranks)):
            _unite_at(position, anchor, ranks[position], paths, counts, repairs)
    if not repairs:
        return [_null_gaps(table[rank]) for rank in ranks], []
    place = np.empty(len(table), np.int64)
    place[to_numpy(records.flatten())] = np.repeat(np.arange(len(paths)), counts)
    repaired = [pa.array([p[i] or None for p in paths], pa.string()) for i in range(len(ranks))]
    return [column.take(pa.array(place)) for column in repaired], repairs


def _null_gaps(column: pa.ChunkedArray) -> pa.StringArray:
    names = one_array(column)
    return pc.if_else(pc.equal(names, ""), pa.scalar(None, pa.string()), names)


def _anchor(ranks: Sequence[str]) -> int:
    """Position of the rank within which a scientific name is taken to be unique."""
    return next((list(ranks).index(r) for r in ("phylum", "division") if r in ranks), 0)


def _unite_at(
    position: int,
    anchor: int,
    rank: str,
    paths: list[Path],
    counts: list[int],
    repairs: list[Repair],
) -> None:
    """Rewrite `paths` in place so that the names at one position have one way up each."""
    ways: dict[str, dict[Path, int]] = defaultdict(lambda: defaultdict(int))
    for path, count in zip(paths, counts, strict=True):
        if path[position]:
            ways[path[position]][path[:position]] += count
    changes: dict[tuple[str, Path], Path] = {}
    for name in sorted(name for name, uppers in ways.items() if len(uppers) > 1):
        for old, new in sorted(_united(name, ways[name], anchor).items()):
            changes[name, old] = new
            repairs.append(Repair(rank, name, ways[name][old], old, new))
    if changes:
        for i, path in enumerate(paths):
            changed = changes.get((path[position], path[:position]))
            if changed is not None:
                paths[i] = changed + path[position:]


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
