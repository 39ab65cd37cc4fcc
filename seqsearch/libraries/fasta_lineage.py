"""FASTA with the lineage in the header: `k__Fungi;p__...` or SINTAX's `tax=d:Fungi,p:...;`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.reading import Reads, read_sequences
from seqsearch.errors import SettingsError
from seqsearch.libraries.names import RANK_LETTERS, known_names
from seqsearch.libraries.records import (
    Library,
    LibraryRecords,
    defect_problems,
    first_problem,
    nameless,
    problems_where,
)

_SINTAX = re.compile(r"(?:^|[;\s])tax=[a-z]:")
_PREFIXED = re.compile(r"(?:^|[;|\s=])[a-z]__")
RANKS = tuple(RANK_LETTERS.values())
# Everything from the lineage on belongs to no id.
_ID_END = r"(;?tax=|[;|=]?\b[a-z]__).*$"


class FastaLineage:
    """Importer of FASTA whose headers carry `k__;p__;...` or SINTAX lineages."""

    name = "fasta-lineage"
    description = "FASTA with k__;p__;... or SINTAX (tax=d:,p:,...) lineages in the headers"

    def recognises(self, header: str, has_table: bool) -> bool:
        """Tell by the first header."""
        return not has_table and bool(_SINTAX.search(header) or _PREFIXED.search(header))

    def read(self, path: Path, table: Path | None) -> Library:
        """Open the library; all of `RANK_LETTERS` are ranks, those without any name go later."""
        if table is not None:
            raise SettingsError("taxonomy", str(table), f"nothing with --format {self.name}")
        return Library(path, self.name, RANKS, _records(path), (path,), [])


def _records(path: Path) -> Iterator[LibraryRecords]:
    for reads in read_sequences(path):
        headers = pc.binary_join_element_wise(reads.batch.ids, reads.descriptions, " ")
        lineage, problem = parse_lineages(headers)
        yield _assembled(reads, lineage, problem)


def _assembled(
    reads: Reads, lineage: dict[str, pa.StringArray], problem: pa.StringArray
) -> LibraryRecords:
    ids = pc.replace_substring_regex(reads.batch.ids, _ID_END, "")
    has_no_id = pc.equal(ids, "").to_numpy(zero_copy_only=False)
    problem = first_problem(
        defect_problems(reads),
        problems_where(has_no_id, "no id before the lineage"),
        problem,
        problems_where(nameless(lineage, len(reads)), "no name at any rank"),
    )
    batch = SequenceBatch(ids, reads.batch.bytes, reads.batch.offsets)
    return LibraryRecords(batch, lineage, pa.nulls(len(ids), pa.string()), problem)


def parse_lineages(texts: pa.StringArray) -> tuple[dict[str, pa.StringArray], pa.StringArray]:
    """Find the names in lineage texts.

    Returns
    -------
    dict of str to (n,) pyarrow string
        Names by rank, null where unknown.
    (n,) pyarrow string
        The problem of a text that is no proper lineage, else null.

    Examples
    --------
    >>> import pyarrow as pa
    >>> names, problem = parse_lineages(pa.array(["x k__Fungi; p__; c__Agarico mycetes"]))
    >>> names["kingdom"][0].as_py(), names["phylum"][0].as_py(), names["class"][0].as_py()
    ('Fungi', None, 'Agarico mycetes')
    """
    is_sintax = pc.match_substring_regex(texts, _SINTAX.pattern)
    tax = pc.extract_regex(texts, r"tax=(?P<inside>[^;]*)(?P<behind>.*)$")
    inside, behind = pc.struct_field(tax, "inside"), pc.struct_field(tax, "behind")
    texts = pc.replace_substring_regex(texts, r"\s+\[\w+=.*$", "")  # [key=value] tags, as GTDB has
    fields = pc.if_else(
        is_sintax,
        pc.binary_join_element_wise(",", inside, ""),
        pc.replace_substring_regex(texts, r"(^|[|\s=])([a-z]__)", r";\2"),
    )
    lineage = {}
    found = np.zeros(len(texts), np.int64)
    for letter, rank in RANK_LETTERS.items():
        sintax = pc.struct_field(pc.extract_regex(fields, rf",{letter}:(?P<name>[^,]*)"), "name")
        prefixed = pc.struct_field(
            pc.extract_regex(fields, rf";\s*{letter}__(?P<name>[^;]*)"), "name"
        )
        names = pc.if_else(is_sintax, sintax, prefixed)
        found += pc.is_valid(names).to_numpy(zero_copy_only=False)
        lineage[rank] = known_names(names)
    marks = pc.if_else(
        is_sintax,
        pc.count_substring_regex(fields, r",[^,:]*:"),
        pc.count_substring_regex(fields, r";\s*[a-z]__"),
    ).to_numpy(zero_copy_only=False)
    wrong_sign = pc.match_substring_regex(pc.fill_null(behind, ""), r";[a-z]:").to_numpy(
        zero_copy_only=False
    )
    problem = first_problem(
        problems_where(wrong_sign, "SINTAX lineage with ';' between ranks: write ','"),
        problems_where(marks == 0, "no lineage in the header"),
        problems_where(marks != found, "a rank letter in the lineage is unknown or stands twice"),
    )
    return lineage, problem
