"""Settings of trainings: one class for each command of `seqsearch train`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Self

from seqsearch.encoders.kmerbag import Shape
from seqsearch.encoders.spectrum import EIGHT, Spectrum
from seqsearch.errors import SettingsError
from seqsearch.training.augmentation import Augmentation
from seqsearch.training.descent import Descent
from seqsearch.training.split import HOLDOUTS

OBJECTIVES = ("supcon", "triplet")
GUESSING = ("barcodebert", "metaberta")  # families that can be pretrained
NETWORKS = (*GUESSING, "cnn")  # families in torch that can learn from names
BAG = "kmerbag"
# Weights of the ranks in the loss: DESIGN 8's, found on an earlier split of the COI data.
RANK_WEIGHTS = {
    "species": 1.0,
    "genus": 1.0,
    "family": 0.4,
    "order": 0.2,
    "class": 0.1,
    "phylum": 0.1,
    "kingdom": 0.05,
}
UNCHANGED = Augmentation(crop=0, substitutions=0, indels=0)
Settings = dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """What all trainings have.

    Attributes
    ----------
    name : str
    batch_size : int
        Sequences (or pieces of such, where the encoder cuts them) that a process looks at at once.
    steps : int
        Changes of the model; 0: as many as `epochs` take.
    epochs : float
        How often everything is looked at, where `steps` is 0.
    learning_rate : float
        Before `descent` scales it.
    descent : Descent
    holdout : str
        One of `HOLDOUTS`: what is kept out of training.
    seed : int
    validate_every, save_every : int
        Steps; 0: only at the end.
    """

    command: ClassVar[str]

    name: str
    batch_size: int = 512
    steps: int = 6000
    epochs: float = 0.0
    learning_rate: float = 2e-3
    descent: Descent = field(default_factory=Descent)
    holdout: str = "development"
    seed: int = 0
    validate_every: int = 0
    save_every: int = 500

    def __post_init__(self) -> None:
        check(self.holdout in HOLDOUTS, "holdout", self.holdout, ", ".join(HOLDOUTS))
        check(self.batch_size >= 1, "batch-size", self.batch_size, "1 or more")
        check(self.epochs >= 0, "epochs", self.epochs, "0 or more")
        least = 0 if self.epochs else 1
        check(self.steps >= least, "steps", self.steps, f"{least} or more")
        check(self.learning_rate > 0, "learning-rate", self.learning_rate, "more than 0")

    def at_once(self, processes: int = 1) -> int:
        """Return how many sequences one step looks at."""
        return self.batch_size * self.descent.accumulate * processes

    def resolved(self, sequences: int, processes: int = 1) -> Self:
        """Return the recipe with as many steps as its epochs take.

        >>> Pretraining("mine", batch_size=64, steps=0, epochs=2).resolved(1000).steps
        32
        """
        if self.steps:
            return replace(self, epochs=0)
        steps = math.ceil(self.epochs * sequences / self.at_once(processes))
        return replace(self, steps=max(1, steps))

    def as_dict(self) -> dict[str, Any]:
        """Return all settings as JSON would hold them."""
        return asdict(self)


@dataclass(frozen=True)
class Contrastive(Recipe):
    """How an encoder learns which sequences belong together.

    Attributes
    ----------
    family : str
        What is trained: kmerbag, or a family of networks.
    network : dict
        Settings of a network, as its family's configuration names them.
    bag : Shape
        The trained part of a bag.
    spectrum_weight : float
        Share of an untrained spectrum in the finished encoder's similarity; 0: the bag alone.
    spectrum_in_loss : float
        Share of the spectrum in the similarity that the loss sees: the bag then learns what the
        spectrum misses.
    spectrum_pattern, spectrum_dim, spectrum_canonical : str, int, bool
        Its words and dimensions, and whether both strands' words are one.
    objective : str
        One of `OBJECTIVES`.
    temperature : float
        Of supcon.
    margin : float
        Of triplet, in units of cosine.
    rank_weights : dict
        Rank to its weight in the loss; other ranks have none.
    augmentation : Augmentation
    shared : float
        Share of a batch drawn from a few families.
    dropout : float
        Share of the words of a bag left out.
    start_share : float
        Share of the weights that a network started from in those of the finished one, which then
        knows more of what it does not learn from (Wortsman et al. 2022, "Robust fine-tuning of
        zero-shot models", arXiv:2109.01903). Nothing stays where it starts from nothing.
    """

    command: ClassVar[str] = "contrastive"

    family: str = BAG
    network: Settings = field(default_factory=dict)
    bag: Shape = field(default_factory=Shape)
    spectrum_weight: float = 0.0
    spectrum_in_loss: float = 0.0
    spectrum_pattern: str = EIGHT
    spectrum_dim: int = 2048
    spectrum_canonical: bool = False
    objective: str = "supcon"
    temperature: float = 0.07
    margin: float = 0.2
    rank_weights: dict[str, float] = field(default_factory=lambda: dict(RANK_WEIGHTS))
    augmentation: Augmentation = field(default_factory=Augmentation)
    shared: float = 0.5
    dropout: float = 0.0
    start_share: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.family in (BAG, *NETWORKS), "family", self.family, f"{BAG}, {_listed(NETWORKS)}")
        check(self.objective in OBJECTIVES, "objective", self.objective, " or ".join(OBJECTIVES))
        is_even = self.batch_size >= 4 and self.batch_size % 2 == 0
        check(is_even, "batch-size", self.batch_size, "an even number, 4 or more")
        check(self.epochs == 0, "epochs", self.epochs, "0: batches are drawn, give steps")
        check(self.temperature > 0, "temperature", self.temperature, "more than 0")
        for name in ("spectrum_weight", "spectrum_in_loss", "dropout", "start_share"):
            check(0 <= getattr(self, name) < 1, name, getattr(self, name), "a number in [0, 1)")
        check(0 <= self.shared <= 1, "shared", self.shared, "a number in [0, 1]")

    def spectrum(self, threads: int = 0) -> Spectrum:
        """Return the untrained part."""
        return Spectrum(
            self.spectrum_pattern,
            self.spectrum_dim,
            canonical=self.spectrum_canonical,
            threads=threads,
        )


@dataclass(frozen=True)
class Pretraining(Recipe):
    """How a network learns to guess hidden tokens.

    Attributes
    ----------
    family : str
        barcodebert or metaberta; it decides what is hidden, and how (`training/masking.py`).
    network : dict
        Settings of the network, as its family's configuration names them.
    hidden : float
        Share of the tokens that are hidden.
    pairs : int
        Byte pairs, so many tokens, in the place of k-mers; learned from the same sequences. 0:
        k-mers.
    """

    command: ClassVar[str] = "pretrain"

    family: str = "barcodebert"
    network: Settings = field(default_factory=dict)
    hidden: float = 0.5
    pairs: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.family in GUESSING, "family", self.family, _listed(GUESSING))
        check(0 < self.hidden < 1, "hidden", self.hidden, "a number in (0, 1)")
        check(self.pairs >= 0, "pairs", self.pairs, "0, or how many tokens")


@dataclass(frozen=True)
class Finetuning(Recipe):
    """How a network learns the names of sequences: a head for each rank.

    Attributes
    ----------
    family : str
        Of the network; empty: that of the encoder it starts from.
    network : dict
        Settings of the network, where it starts from nothing.
    is_frozen : bool
        Only the heads learn, from vectors with one mean and one deviation taken out (a linear
        probe); the encoder stays as it was.
    is_squashed : bool
        A tanh stands before the heads.
    rank_weights : dict
        Rank to its weight in the loss; other ranks have none.
    augmentation : Augmentation
    """

    command: ClassVar[str] = "finetune"

    family: str = ""
    network: Settings = field(default_factory=dict)
    is_frozen: bool = False
    is_squashed: bool = False
    rank_weights: dict[str, float] = field(default_factory=lambda: dict.fromkeys(RANK_WEIGHTS, 1.0))
    augmentation: Augmentation = UNCHANGED

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.family in ("", *NETWORKS), "family", self.family, _listed(NETWORKS))


def check(holds: bool, setting: str, value: object, expected: str) -> None:
    """Raise `SettingsError` unless something holds."""
    if not holds:
        raise SettingsError(setting, value, expected)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
