"""Words of sequences, counted on a device: what `words.count_words` does, as operations on tensors.

Everything is in whole numbers, so counts and roots are those of the compiled loops. Imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seqsearch.devices.lane import Lane
from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.words import BASE_CODES, ROOT_BITS, weight_of

UNKNOWN = 4  # the code of anything but A, C, G, T
_LARGEST = torch.iinfo(torch.int32).max


@dataclass(frozen=True)
class BaseTensors:
    """The bases of n sequences on a device, one after the other.

    Attributes
    ----------
    count : int
        n.
    codes : (b,) int32
        A C G T = 0 1 2 3; `UNKNOWN`.
    unknown : (b + 1,) int32
        Unknown bases before each base.
    sequence : (b,) int64
        Which sequence a base is of.
    """

    count: int
    codes: Tensor
    unknown: Tensor
    sequence: Tensor

    @classmethod
    def of(cls, batch: SequenceBatch, lane: Lane) -> BaseTensors:
        """Copy the bytes and lengths of a batch to a device; the rest is made there."""
        letters, lengths = lane.upload(batch.bytes), lane.upload(batch.lengths)
        table = torch.from_numpy(BASE_CODES).to(lane.device, torch.int32)
        codes = table.index_select(0, letters.int())
        unknown = torch.zeros(len(codes) + 1, dtype=torch.int32, device=lane.device)
        torch.cumsum(codes == UNKNOWN, 0, dtype=torch.int32, out=unknown[1:])
        numbers = torch.arange(len(batch), device=lane.device)
        sequence = torch.repeat_interleave(numbers, lengths, output_size=len(codes))
        return cls(len(batch), codes, unknown, sequence)


@dataclass(frozen=True)
class WordTensors:
    """Sparse rows: the distinct words of sequence i stand from `offsets[i]` to `offsets[i + 1]`.

    Attributes
    ----------
    offsets : (n + 1,) int64
    sequence : (m,) int64
    word : (m,) int64
        Two bits a base, first base highest; ascending within a sequence.
    root : (m,) int64
        Square root of the count, as `words.fixed_root` has it.
    """

    offsets: Tensor
    sequence: Tensor
    word: Tensor
    root: Tensor


def count_words(bases: BaseTensors, pattern: str) -> WordTensors:
    """Count the words of a pattern in each sequence; words over an unknown base are left out.

    A word and its sequence make one number; sorted, equal ones stand together. Twice the host waits
    for the device: how many words are whole, and how many differ, decides what sizes follow.
    """
    weight, device = weight_of(pattern), bases.codes.device
    shift = 2 * weight
    windows = max(0, len(bases.codes) - len(pattern) + 1)
    last = slice(len(pattern) - 1, len(pattern) - 1 + windows)
    word = torch.zeros(windows, dtype=torch.int32, device=device)
    for at, kept in enumerate(pattern):
        if kept == "1":
            word = (word << 2) | bases.codes[at : at + windows]
    is_whole = bases.unknown[len(pattern) :][:windows] == bases.unknown[:windows]
    is_whole &= bases.sequence[last] == bases.sequence[:windows]
    # Half as many bits are sorted in half the time, and a batch of barcodes needs no more.
    kind = torch.int32 if (bases.count << shift) <= _LARGEST else torch.int64
    keys = (bases.sequence[:windows].to(kind) << shift) | word
    found, counts = torch.unique_consecutive(torch.sort(keys[is_whole]).values, return_counts=True)
    ends = torch.arange(bases.count + 1, device=device, dtype=kind) << shift
    root = (counts.double().sqrt() * (1 << ROOT_BITS)).round().long()
    return WordTensors(
        torch.searchsorted(found, ends),
        (found >> shift).long(),
        (found & ((1 << shift) - 1)).long(),
        root,
    )
