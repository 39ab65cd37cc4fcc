"""What makes probabilities of votes, for one index."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from seqsearch.analytics.resolvability import read_resolvability
from seqsearch.dna.frames import is_coding
from seqsearch.index.store import IndexStore
from seqsearch.search.calibrate import (
    Probabilities,
    open_calibration,
    prior_shares,
    probabilities,
)
from seqsearch.search.candidates import Candidates
from seqsearch.search.evidence import Sampling, gather
from seqsearch.search.vote import Ballots
from seqsearch.settings import QuerySettings
from seqsearch.tables import Int64

SAMPLE = 500  # references that tell whether the marker is protein-coding


class Judge:
    """The calibration of an index, and what it needs to know of the library.

    Parameters
    ----------
    store : IndexStore

    Attributes
    ----------
    shared : (taxa,) pyarrow string
        Names with which a taxon shares a sequence, null where with none.
    is_coding : bool
        Whether the library is of a protein-coding marker, by a sample of its sequences.
    """

    def __init__(self, store: IndexStore) -> None:
        self._store = store
        self._calibration = open_calibration(store)
        taxa = np.bincount(store.taxonomy.rank, minlength=len(store.taxonomy.ranks))
        self._is_single = taxa == 1
        self._sampling = Sampling.of(store.taxonomy, store.votes)
        live = store.live_rows
        sample = live[:: max(1, len(live) // SAMPLE)]
        self.is_coding = is_coding(store.sequences(sample, named=False))
        self.shared: pa.StringArray = pa.nulls(len(store.taxonomy), pa.string())
        if store.manifest.resolvability:
            found = read_resolvability(store.folder / store.manifest.resolvability)
            self.shared = found.shared_names(store.taxonomy)

    def check(self, settings: QuerySettings) -> None:
        """Raise `SettingsError` unless the prior is of ranks that are calibrated here."""
        prior_shares(settings.prior, self._calibration.ranks)

    def probabilities(
        self,
        found: Candidates,
        ballots: Ballots,
        lengths: Int64,
        settings: QuerySettings,
        searched: Int64 | None = None,
    ) -> Probabilities:
        """Return how likely the names that a vote gave are right.

        Parameters
        ----------
        found : Candidates
            Of n queries.
        ballots : Ballots
        lengths : (n,) int64
            Bases of the queries.
        settings : QuerySettings
        searched : (n,) int64, optional
            Windows of each that were searched, of which this is the best; 1 unless given.
        """
        store, calibration = self._store, self._calibration
        evidence = gather(
            found, ballots, lengths, store.spans.lengths, store.taxonomy, store.votes,
            self._sampling, settings.threads, depth=calibration.depth,
        )  # fmt: skip
        model = calibration.aligned if settings.align else calibration.vectors
        prior = prior_shares(settings.prior, calibration.ranks)
        return probabilities(
            model, evidence, ballots.taxon, prior, self._is_single, calibration.depth, searched
        )
