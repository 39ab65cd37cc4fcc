"""seqsearch names DNA: encoders, FAISS and DuckDB over reference libraries of marker genes.

    index = seqsearch.open_index("indexes/coi")
    table = index.classify("asvs.fasta")          # a pyarrow.Table, one row per query

Rooms, from the commands down to the basics; imports run this way only:

cli         one file per command group: parse, call, print
jobs        build, query, call, demo: the pipelines that string the rooms together
evaluation  the bench: other tools' answers beside ours
training    labelled sequences in, an encoder's folder out
analytics   SQL views and named queries
search      retrieve, vote, assign
index       the index folder: segments, catalog, manifest, FAISS
runs        the run folder
encoders    DNA to vectors, one file per family; pretrained/ holds those that ship
networks    layers of networks, tokenizers for transformers
libraries   importers, ledger, taxonomy repair
scoring     percent right per rank, intervals
dna         reading, cleaning, strand, tokens, simulation
devices     which GPU, and vectors that stay on it
tables, taxonomy, settings, threads, errors
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from seqsearch.settings import VERSION

__version__ = VERSION

_PUBLIC = {
    "build_index": "seqsearch.jobs.build",
    "add_to_index": "seqsearch.jobs.build",
    "remove_from_index": "seqsearch.jobs.build",
    "verify_index": "seqsearch.jobs.inspecting",
    "map_index": "seqsearch.jobs.mapping",
    "open_index": "seqsearch.jobs.opened",
    "open_run": "seqsearch.jobs.opened_run",
    "load_encoder": "seqsearch.encoders.registry",
    "read_sequences": "seqsearch.dna.reading",
    "SequenceBatch": "seqsearch.dna.batch",
    "BuildSettings": "seqsearch.settings",
    "QuerySettings": "seqsearch.settings",
    "SeqsearchError": "seqsearch.errors",
}
__all__ = [  # noqa: PLE0604  the names of the table above
    *_PUBLIC,
    "__version__",
]

if TYPE_CHECKING:
    from seqsearch.dna.batch import SequenceBatch as SequenceBatch
    from seqsearch.dna.reading import read_sequences as read_sequences
    from seqsearch.encoders.registry import load_encoder as load_encoder
    from seqsearch.errors import SeqsearchError as SeqsearchError
    from seqsearch.jobs.build import (
        add_to_index as add_to_index,
    )
    from seqsearch.jobs.build import (
        build_index as build_index,
    )
    from seqsearch.jobs.build import (
        remove_from_index as remove_from_index,
    )
    from seqsearch.jobs.inspecting import verify_index as verify_index
    from seqsearch.jobs.mapping import map_index as map_index
    from seqsearch.jobs.opened import open_index as open_index
    from seqsearch.jobs.opened_run import open_run as open_run
    from seqsearch.settings import BuildSettings as BuildSettings
    from seqsearch.settings import QuerySettings as QuerySettings


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that `import seqsearch` costs nothing."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'seqsearch' has no attribute {name!r}")
