"""Rank names, rank letters, and words that stand where a name is missing."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from seqsearch.tables import one_array

# Highest first. Libraries may use any of them; a column of another name is no rank.
RANK_ORDER = (
    *("domain", "superkingdom", "realm", "supergroup", "kingdom", "subkingdom"),
    *("superphylum", "division", "phylum", "subdivision", "subphylum"),
    *("superclass", "class", "subclass", "infraclass"),
    *("superorder", "order", "suborder", "infraorder"),
    *("superfamily", "family", "subfamily", "tribe", "subtribe"),
    *("genus", "subgenus", "species", "subspecies", "strain"),
)
RANK_LETTERS = {
    "d": "domain",
    "k": "kingdom",
    "p": "phylum",
    "c": "class",
    "o": "order",
    "f": "family",
    "g": "genus",
    "s": "species",
    "t": "strain",
}
# Whole values, in any case, "_" for " ", that libraries write for "not known". Parts of names
# are never touched: names are opaque.
_NO_NAME = (
    r"(?i)^(n/?a|nan|none|null|unknown|unclassified|unassigned|unidentified|undefined|uncultured"
    r"|incertae[ _]sedis|environmental[ _]samples?|[-?.*])?$"
)


def known_names(column: pa.Array | pa.ChunkedArray) -> pa.StringArray:
    """Return names without outer blanks, null where the value says that none is known.

    >>> import pyarrow as pa
    >>> known_names(
    ...     pa.array([" Apis ", "NA", "Incertae_sedis", "Clostridium sensu stricto 2"])
    ... ).to_pylist()
    ['Apis', None, None, 'Clostridium sensu stricto 2']
    """
    trimmed = pc.utf8_trim_whitespace(one_array(column).cast(pa.string()))
    return pc.if_else(
        pc.match_substring_regex(trimmed, _NO_NAME), pa.scalar(None, pa.string()), trimmed
    )


def merged_ranks(lists: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return every rank of several libraries, highest first.

    Ranks come in the order of the first list that has them; one that only a later list has goes
    where `RANK_ORDER` puts it.

    >>> merged_ranks([["kingdom", "genus"], ["phylum", "genus", "species"]])
    ('kingdom', 'phylum', 'genus', 'species')
    """
    merged: list[str] = list(lists[0]) if lists else []
    for ranks in lists[1:]:
        for rank in ranks:
            if rank not in merged:
                merged.append(rank)
                merged.sort(key=RANK_ORDER.index)
    return tuple(merged)
