"""Try powers of the whitening of networks: scripts/tune_whitening.py INDEX ENCODER...

Percent right of the nearest reference, mean of five cells, on the development split of the index,
whose taxa no recipe of seqsearch learns from. --thin asks among one reference a species (or lowest
taxon), which is harder and, with networks, minutes instead of an hour. "own" is the whitening that
the encoder has.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any, cast

import torch

from seqsearch.dna.batch import SequenceBatch
from seqsearch.encoders.base import Encoder
from seqsearch.encoders.network import NetworkEncoder
from seqsearch.encoders.registry import load_encoder
from seqsearch.networks.whitening import Whitening
from seqsearch.tables import Float32
from seqsearch.training.labelled import read_labelled
from seqsearch.training.sampling import one_of_each
from seqsearch.training.split import development_split
from seqsearch.training.validation import mean_right, validate
from seqsearch.training.vectors import sampled

POWERS = (0.0, 0.25, 0.5, 0.75, 1.0)


class Known:
    """Vectors of a network, made once for each batch, then whitened in one way or another."""

    def __init__(self, encoder: NetworkEncoder) -> None:
        self.own, encoder.whitening = encoder.whitening, None
        self.whitening: Whitening | None = None
        self._encoder = encoder
        self._made: dict[bytes, Float32] = {}

    def encode(self, batch: SequenceBatch) -> Float32:
        """Return (n, dim) float32."""
        key = batch.bytes.tobytes()
        if key not in self._made:
            self._made[key] = self._encoder.encode(batch)
        plain = self._made[key]
        if self.whitening is None:
            return plain
        made: Any = self.whitening(torch.from_numpy(plain))
        return cast(Float32, made.numpy())


def main() -> None:
    """Print a line for each encoder and power."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index")
    parser.add_argument("encoders", nargs="+", help="folders of networks")
    parser.add_argument("--thin", action="store_true", help="one reference a species")
    options = parser.parse_args()
    labelled = read_labelled(options.index)
    split = development_split(labelled)
    if options.thin:
        split = replace(split, references=one_of_each(labelled, split.references))
    learned = labelled.batch.take(split.train)
    print("encoder\tpower\twhole\tcut")
    for folder in options.encoders:
        encoder = cast(NetworkEncoder, load_encoder(folder))
        known = Known(encoder)
        sample = known.encode(sampled(encoder, learned, 0))
        ways = {"none": None, "own": known.own}
        ways |= {f"{power:g}": Whitening.of(sample, power) for power in POWERS}
        for told, known.whitening in ways.items():
            whole, cut = validate(cast(Encoder, known), labelled, split)
            print(f"{folder}\t{told}\t{mean_right(whole):.1f}\t{mean_right(cut):.1f}", flush=True)


if __name__ == "__main__":
    main()
