"""The task of guessing hidden tokens, as BarcodeBERT and MetaBERTa learn without names."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from seqsearch.dna.batch import SequenceBatch
from seqsearch.encoders.base import Encoder
from seqsearch.encoders.network import NetworkEncoder
from seqsearch.errors import SettingsError
from seqsearch.networks.bert import BertNetwork
from seqsearch.networks.heads import TiedHead, TokenHead
from seqsearch.tables import Int64
from seqsearch.training.masking import IGNORED, Hidden, hide_single, hide_spans, token_loss
from seqsearch.training.order import Order
from seqsearch.training.recipe import Pretraining
from seqsearch.training.unigram import Unigram
from seqsearch.training.vectors import copied, in_any_frame, whitened

HELD, COUNTED = 1000, 50_000  # pieces at most that validation asks for, and its baseline knows
AT_ONCE = 32  # pieces that are validated at once


@dataclass(frozen=True)
class Guess:
    """How well hidden tokens of sequences that were kept out are guessed.

    Attributes
    ----------
    tokens : int
        How many were hidden, and asked for.
    loss, unigram_loss : float
        Mean cross-entropy, nats a token: the network's, and that of the shares of tokens at the
        same place of the sequences learned from.
    right, unigram_right : float
        Percent right of the likeliest.
    """

    tokens: int
    loss: float
    unigram_loss: float
    right: float
    unigram_right: float

    def as_dict(self) -> dict[str, Any]:
        """Return what a script would want to know."""
        return asdict(self)


@dataclass(frozen=True)
class Asked:
    """A batch with hidden tokens.

    Attributes
    ----------
    ids, mask : (n, width)
        What the network sees, and what is no padding.
    targets : (n, width) int64
        As in `Hidden`.
    """

    ids: Tensor
    mask: Tensor
    targets: Tensor

    def to(self, device: torch.device) -> Asked:
        """Return it on a device."""
        return Asked(self.ids.to(device), self.mask.to(device), self.targets.to(device))


class Scheme(Protocol):
    """What one family hides, and guesses with; targets are token - `shift`, below `words`."""

    first: int
    plain: int
    shift: int
    words: int

    def hide(self, ids: Tensor, draw: torch.Generator) -> Hidden:
        """Hide tokens at random."""
        ...

    def head(self, network: BertNetwork) -> nn.Module:
        """Return what makes guesses of the last states."""
        ...


class SingleTokens:
    """BarcodeBERT's: single tokens are hidden, all are asked for."""

    def __init__(self, encoder: NetworkEncoder, share: float) -> None:
        config: Any = encoder.model.config
        if config.is_workshop:
            raise SettingsError("network.is_workshop", 1, "0: only its own authors pretrain it")
        self.first, self._share = len(config.vocabulary().specials), share
        self.plain = config.vocab_size - self.first if config.pairs else config.vocabulary().plain
        self.shift, self.words = self.first, self.plain

    def hide(self, ids: Tensor, draw: torch.Generator) -> Hidden:
        """Hide tokens at random."""
        draws = torch.rand(ids.shape, generator=draw)
        return hide_single(ids, draws, first=self.first, plain=self.plain, share=self._share)

    def head(self, network: BertNetwork) -> nn.Module:
        """Return what makes guesses of the last states."""
        config: Any = network.config
        return TokenHead(config.hidden_size, self.words, config.hidden_dropout_prob)


class Spans:
    """MetaBERTa's: stretches of overlapping k-mers are hidden, and these asked for."""

    def __init__(self, encoder: NetworkEncoder, share: float) -> None:
        config: Any = encoder.model.config
        vocabulary = config.vocabulary()
        self.first, self.plain = len(vocabulary.specials), vocabulary.plain
        self.shift, self.words = 0, vocabulary.size
        self._k, self._share, self._mask = vocabulary.k, share, vocabulary.number("[MASK]")

    def hide(self, ids: Tensor, draw: torch.Generator) -> Hidden:
        """Hide tokens at random."""
        return hide_spans(
            ids,
            torch.rand((3, *ids.shape), generator=draw),
            k=self._k,
            first=self.first,
            plain=self.plain,
            hidden=self._mask,
            share=self._share,
        )

    def head(self, network: BertNetwork) -> nn.Module:
        """Return what makes guesses of the last states."""
        config: Any = network.config
        return TiedHead(network.embeddings.word_embeddings, config.layer_norm_eps)


SCHEMES: dict[str, type[SingleTokens] | type[Spans]] = {
    "barcodebert": SingleTokens,
    "metaberta": Spans,
}


class Guesser(nn.Module):
    """A network and its head."""

    def __init__(self, network: BertNetwork, head: nn.Module) -> None:
        super().__init__()
        self.network, self.head = network, head

    def forward(self, ids: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
        """Return (m, words) float: guesses of the m tokens that have a target."""
        states = self.network.states(ids, mask)[-1]
        return cast(Tensor, self.head(states[targets != IGNORED]))


class Guessing:
    """Pretraining; see `seqsearch.training.loop.Task`.

    Parameters
    ----------
    encoder : NetworkEncoder
        Its network is what learns.
    learned, held : SequenceBatch
        Sequences to learn from, and to validate with.
    recipe : Pretraining
    label : str
    threads : int
    processes : int
        That share the sequences out among them.
    """

    def __init__(
        self,
        encoder: NetworkEncoder,
        learned: SequenceBatch,
        held: SequenceBatch,
        recipe: Pretraining,
        label: str,
        threads: int,
        processes: int = 1,
    ) -> None:
        self._like, self._recipe, self._processes = encoder, recipe, processes
        self._label, self._threads = label, threads
        self._scheme: Scheme = SCHEMES[encoder.family](encoder, recipe.hidden)
        network = cast(BertNetwork, encoder.model)
        self.model = Guesser(network, self._scheme.head(network))
        self._pieces, self._places = _cut(encoder, learned)
        self._held, self._held_places = _some(*_cut(encoder, held), HELD, recipe.seed)
        self._order = Order(len(self._pieces), recipe.batch_size, recipe.seed)

    def batch(self, number: int, process: int) -> Asked:
        """Return pieces in a random reading frame, tokens hidden at random."""
        number = number * self._processes + process
        rng = np.random.default_rng([self._recipe.seed, number])
        taken = self._pieces.take(self._order.rows(number))
        drawn = torch.Generator().manual_seed(int(rng.integers(2**62)))
        return self._asked(in_any_frame(self._like, taken, rng), drawn)[0]

    def loss(self, model: nn.Module, batch: Asked, device: torch.device) -> Tensor:
        """Return the mean cross-entropy of the tokens that are asked for."""
        batch = batch.to(device)
        guessed = model(batch.ids, batch.mask, batch.targets)
        return token_loss(guessed, batch.targets[batch.targets != IGNORED])

    def watch(self) -> dict[str, float]:
        """Return the loss of hidden tokens that were kept out."""
        guess = self.guess(with_unigram=False)
        return {} if guess is None else {"held_out_loss": guess.loss}

    def encoder(self) -> Encoder:
        """Return the encoder as it is now, a copy."""
        done = copied(self._like, self._label, self._threads)
        device = next(self.model.parameters()).device
        return whitened(done, self._pieces, self._recipe.seed, device)

    @torch.no_grad()
    def guess(self, *, with_unigram: bool = True) -> Guess | None:
        """Guess hidden tokens of what was kept out: the hidden ones alone, and always the same.

        None where nothing was, or it is so short that no token of it is hidden.
        """
        self.model.train(False)
        device = next(self.model.parameters()).device
        drawn = torch.Generator().manual_seed(self._recipe.seed)
        losses, right, places, tokens = [], [], [], []
        for start in range(0, len(self._held), AT_ONCE):
            asked, chosen = self._asked(self._held.slice(start, start + AT_ONCE), drawn)
            targets = asked.targets.masked_fill(~chosen, IGNORED)
            known = targets[targets != IGNORED]
            guessed = self.model(*(one.to(device) for one in (asked.ids, asked.mask, targets)))
            losses.append(functional.cross_entropy(guessed.float().cpu(), known, reduction="none"))
            right.append((guessed.argmax(1).cpu() == known).float())
            first = self._held_places[start : start + AT_ONCE]
            columns = np.nonzero((targets != IGNORED).numpy())
            places.append(first[columns[0]] + columns[1])
            tokens.append(known.numpy())
        said = np.concatenate([np.empty(0, np.int64), *tokens])
        if not len(said):
            return None
        loss, share = float(torch.cat(losses).mean()), 100 * float(torch.cat(right).mean())
        at = np.concatenate(places)
        unigram = self._unigram(int(at.max()) + 1) if with_unigram else None
        plain = unigram.guess(at, said) if unigram else (float("nan"), float("nan"))
        return Guess(len(said), loss, plain[0], share, plain[1])

    def _asked(self, batch: SequenceBatch, drawn: torch.Generator) -> tuple[Asked, Tensor]:
        tokens = self._like.tokens(batch)
        hidden = self._scheme.hide(torch.from_numpy(tokens.ids), drawn)
        return Asked(hidden.ids, torch.from_numpy(tokens.mask), hidden.targets), hidden.chosen

    def _unigram(self, places: int) -> Unigram:
        """Count what stands where in the sequences learned from, in their first reading frame."""
        scheme, counted = self._scheme, Unigram.of_size(places, self._scheme.words)
        pieces, starts = _some(self._pieces, self._places, COUNTED, self._recipe.seed)
        for start in range(0, len(pieces), 1024):
            ids = self._like.tokens(pieces.slice(start, start + 1024)).ids
            row, column = np.nonzero((ids >= scheme.first) & (ids < scheme.first + scheme.plain))
            first = starts[start : start + 1024]
            counted.add(first[row] + column, ids[row, column].astype(np.int64) - scheme.shift)
        return counted


def _cut(encoder: NetworkEncoder, batch: SequenceBatch) -> tuple[SequenceBatch, Int64]:
    """Return what the network takes in at once, and the place of each one's first token."""
    pieces, owner = encoder.cut(batch)
    number = np.arange(len(owner)) - np.searchsorted(owner, owner)
    return pieces, number * int(cast(Any, encoder.model.config).max_position_embeddings)


def _some(
    pieces: SequenceBatch, places: Int64, most: int, seed: int
) -> tuple[SequenceBatch, Int64]:
    """Return at most so many pieces, drawn at random."""
    if len(pieces) <= most:
        return pieces, places
    rows = np.sort(np.random.default_rng(seed).permutation(len(pieces))[:most])
    return pieces.take(rows), places[rows]
