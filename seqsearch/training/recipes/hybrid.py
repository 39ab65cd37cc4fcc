"""A bag of words beside the untrained spectrum: the first knows far relatives, the second near.

The shipped encoder's recipe. A quarter of an hour on two CPU cores.
"""

from seqsearch.encoders.kmerbag import Shape
from seqsearch.training.recipe import Contrastive

CODON = "11011011011"  # two bases of three: one frame of a coding sequence skips third positions

CONTRASTIVE = Contrastive(
    "hybrid",
    bag=Shape(("11111111", CODON), canonical=True, dim=256),
    spectrum_pattern=CODON,
    spectrum_canonical=True,
    spectrum_weight=0.5,
    learning_rate=3e-3,
    steps=6000,
)
