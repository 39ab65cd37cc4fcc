"""Recipes: one small file each, with a `RECIPE`."""
