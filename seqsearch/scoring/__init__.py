"""Percent right per rank, and intervals: the one scorer.

marks       answers marked against the truth; percent right per set of queries and rank
bootstrap   the paired difference between methods, with its interval
"""
