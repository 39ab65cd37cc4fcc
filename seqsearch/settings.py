"""Settings as frozen dataclasses, checked once when they are made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from seqsearch.errors import SettingsError

VERSION = "0.1.0"  # pyproject.toml says the same
DEFAULT_ENCODER = "markers-1"
STRANDS = ("both", "plus", "minus")
SEARCHES = ("auto", "exact")
VECTORS = ("auto", "float16", "int8")
MIN_CONFIDENCE = 0.8
WITHIN = 0.5  # percentage points
COVERAGE = "coverage"  # the item of a rule that is no rank
DEVICES = ("auto", "cpu", "cuda")  # auto: GPUs where they work
RULE = "RANK>=PERCENT, more of them behind commas, in quotes, as in 'species>=97,genus>=95'"
NO_RULE = "a rule beside it"
SIZES = {"K": 10, "M": 20, "G": 30, "T": 40}  # powers of 2
NO_THRESHOLD = "none beside a rule, which names by identity"


@dataclass(frozen=True)
class BuildSettings:
    """How a library becomes an index.

    Attributes
    ----------
    encoder : str
        Name of a shipped encoder or path of an encoder folder.
    device : str
        One of `DEVICES`.
    threads : int
        Worker threads; 0 means every core this process may use.
    search : str
        One of `SEARCHES`: exact, or what measures faster at hardly less recall.
    vectors : str
        One of `VECTORS`: numbers of 16 or 8 bits; auto takes 8 for large libraries.
    calibrate : bool
        Whether the library is asked for its own references, to calibrate probabilities on it.
    memory : str, int or None
        What buffers and sorting may take, in bytes or as "8G"; None: half of what is available.
    windows : bool
        Whether references much longer than most get several vectors; else they are hard to find.
    """

    encoder: str = DEFAULT_ENCODER
    search: str = "auto"
    vectors: str = "auto"
    calibrate: bool = True
    device: str = "auto"
    threads: int = 0
    memory: str | int | None = None
    windows: bool = True

    def __post_init__(self) -> None:
        _check(self.search in SEARCHES, "search", self.search, " or ".join(SEARCHES))
        _check(self.vectors in VECTORS, "vectors", self.vectors, " or ".join(VECTORS))
        _check(self.device in DEVICES, "device", self.device, " or ".join(DEVICES))
        _check(self.threads >= 0, "threads", self.threads, "0 (all cores) or more")
        _ = None if self.memory is None else bytes_of(self.memory)

    def that_decide(self) -> dict[str, Any]:
        """Return the settings that change what is in an index, to compare two builds."""
        aside = ("threads", "device", "memory")
        return {k: v for k, v in asdict(self).items() if k not in aside}


@dataclass(frozen=True)
class QuerySettings:
    """How queries are searched and called.

    Attributes
    ----------
    hits : int
        Nearest references kept in the run folder, a query.
    candidates : int
        Nearest references that are looked at, a query; at least `hits`.
    align : int
        Best candidates that are aligned, and then vote; 0: all vote, by similarity only.
    strand : str
        One of `STRANDS`.
    taxon : str or None
        Search only below this taxon.
    min_confidence : float
        Probability in [0, 1] that a rank must reach to be named; 0 names every rank.
    rule : str or None
        "species>=97,genus>=95,coverage>=80": names by percent identity instead of probability, and
        hits must cover so much of the query.
    within : float
        With a rule: percentage points below the best identity within which all references must
        agree on a name.
    novelty_prior : str or None
        "species=0.3,genus=0.1": shares of the queries whose taxon at a rank, and none above, is
        expected not to be in the library; None: a fifth at the lowest rank.
    batch_size : int
        Sequences that travel together and become one part of the run folder.
    """

    hits: int = 10
    candidates: int = 50
    align: int = 20
    strand: str = "both"
    taxon: str | None = None
    min_confidence: float = MIN_CONFIDENCE
    rule: str | None = None
    within: float = WITHIN
    novelty_prior: str | None = None
    keep_sequences: bool = True
    batch_size: int = 4096
    threads: int = 0

    def __post_init__(self) -> None:
        _check(self.hits >= 1, "hits", self.hits, "1 or more")
        _check(
            self.candidates >= self.hits,
            "candidates",
            self.candidates,
            f"hits ({self.hits}) or more",
        )
        _check(self.align >= 0, "align", self.align, "0 (none) or more")
        _check(self.strand in STRANDS, "strand", self.strand, " or ".join(STRANDS))
        _check(
            0 <= self.min_confidence <= 1,
            "min-confidence",
            self.min_confidence,
            "a number in [0, 1]",
        )
        self._check_rule()
        _ = self.prior
        _check(self.batch_size >= 1, "batch-size", self.batch_size, "1 or more")
        _check(self.threads >= 0, "threads", self.threads, "0 (all cores) or more")

    def _check_rule(self) -> None:
        _check(0 <= self.within <= 100, "within", self.within, "percentage points from 0 to 100")
        if self.cuts is None:
            _check(self.within == WITHIN, "within", self.within, NO_RULE)
            return
        _check(self.align > 0, "align", self.align, "1 or more: a rule needs identities")
        is_default = self.min_confidence == MIN_CONFIDENCE
        _check(is_default, "min-confidence", self.min_confidence, NO_THRESHOLD)

    @property
    def cuts(self) -> dict[str, float] | None:
        """`rule` by rank, percent; `COVERAGE` may be among them."""
        if self.rule is None:
            return None
        pairs = [item.partition(">=") for item in self.rule.split(",")]
        try:
            cuts = {name.strip(): float(percent) for name, _, percent in pairs}
        except ValueError as error:
            raise SettingsError("rule", self.rule, RULE) from error
        _check(len(cuts) == len(pairs), "rule", self.rule, "every rank once")
        _check(set(cuts) != {COVERAGE}, "rule", self.rule, "a rank beside coverage")
        for percent in cuts.values():
            holds = percent == 0 or 1 < percent <= 100
            _check(holds, "rule", self.rule, "percentages up to 100, as 97 (not 0.97)")
        return cuts

    @property
    def prior(self) -> dict[str, float] | None:
        """`novelty_prior` by rank."""
        if self.novelty_prior is None:
            return None
        pairs = [pair.partition("=") for pair in self.novelty_prior.split(",")]
        try:
            return {rank.strip(): float(share) for rank, _, share in pairs}
        except ValueError as error:
            expected = "rank=share, more of them behind commas, as in species=0.3,genus=0.1"
            raise SettingsError("novelty-prior", self.novelty_prior, expected) from error

    def that_decide(self) -> dict[str, Any]:
        """Return the settings that change what is in a run folder, to compare two runs."""
        return {k: v for k, v in asdict(self).items() if k != "threads"}


def bytes_of(size: str | int, setting: str = "memory") -> int:
    """Return a size in bytes; K, M, G and T are powers of 1,024.

    Parameters
    ----------
    size : str or int
    setting : str
        What an error is about.

    Raises
    ------
    SettingsError
        It is no size.

    Examples
    --------
    >>> bytes_of("1.5G"), bytes_of("800 mb"), bytes_of(4096)
    (1610612736, 838860800, 4096)
    """
    text = str(size).strip().upper().removesuffix("B").removesuffix("I")
    number, shift = (text[:-1], SIZES[text[-1]]) if text[-1:] in SIZES else (text, 0)
    try:
        found = float(number) * 2**shift
    except ValueError:
        found = 0.0
    _check(1 <= found < 2**62, setting, size, "a size, as 8G, 500M or a number of bytes")
    return int(found)


def _check(holds: bool, setting: str, value: object, expected: str) -> None:
    if not holds:
        raise SettingsError(setting, value, expected)
