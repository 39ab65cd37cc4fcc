"""A bag of 8-mers alone."""

from seqsearch.training.recipe import Recipe

RECIPE = Recipe("kmerbag")
