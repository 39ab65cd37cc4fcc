"""A bag of 8-mers beside the untrained spectrum: the first knows far relatives, the second near."""

from seqsearch.training.recipe import Recipe

RECIPE = Recipe("hybrid", spectrum_weight=0.5)
