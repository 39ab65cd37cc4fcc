"""A bag of spaced words alone: the smallest vectors, and the fastest."""

from seqsearch.encoders.kmerbag import Shape
from seqsearch.training.recipe import Contrastive

CONTRASTIVE = Contrastive("kmerbag", bag=Shape(("11011011011",), dim=256))
