"""What a guess of hidden tokens is worth that knows the place of a token, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seqsearch.tables import Float64, Int64

LAST = 2047  # places from here on count as one, so that long sequences take no more memory


@dataclass(frozen=True)
class Unigram:
    """How often each token stands at each place of the sequences learned from.

    Attributes
    ----------
    counts : (places, words) int32
    """

    counts: np.ndarray[tuple[int, int], np.dtype[np.int32]]

    @classmethod
    def of_size(cls, places: int, words: int) -> Unigram:
        """Return one that has seen nothing."""
        return cls(np.zeros((min(places, LAST + 1), words), np.int32))

    def add(self, places: Int64, tokens: Int64) -> None:
        """Count tokens, (n,) each, where they stand at places that will be asked for."""
        places = np.minimum(places, LAST)
        known = places < len(self.counts)
        np.add.at(self.counts, (places[known], tokens[known]), 1)

    def guess(self, places: Int64, tokens: Int64) -> tuple[float, float]:
        """Say how well tokens are guessed by their places.

        A place's shares are mixed with those of all places as Witten and Bell (1991, method C)
        estimate how much is still to be expected: (n p + t q) / (n + t), where the place has seen n
        tokens of t kinds with shares p. q, the shares of all places, gets one count a kind more.

        Returns
        -------
        float
            Mean cross-entropy, nats a token.
        float
            Percent that are the commonest token of their place.
        """
        anywhere = self.counts.sum(0, dtype=np.int64) + 1.0
        anywhere /= anywhere.sum()
        places = np.minimum(places, LAST)
        seen = self.counts.sum(1, dtype=np.int64)[places]
        kinds = np.count_nonzero(self.counts, axis=1)[places]
        mixed: Float64 = self.counts[places, tokens] + kinds * anywhere[tokens]
        unseen = seen == 0  # a place that no sequence learned from reaches
        shares = np.where(unseen, anywhere[tokens], mixed / np.maximum(seen + kinds, 1))
        best = np.where(unseen, anywhere.argmax(), self.counts.argmax(1)[places])
        return float(-np.log(shares).mean()), 100 * float((best == tokens).mean())
