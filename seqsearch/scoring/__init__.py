"""Percent right per rank, intervals and calibration errors: the one scorer.

marks              answers marked against the truth; percent right per set of queries and rank
bootstrap          the paired difference between methods, with its interval
calibration_error  how far probabilities lie from the share of them that comes true
"""
