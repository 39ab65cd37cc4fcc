"""Figures, with matplotlib (the extra report).

reliability  share of names that are right, over their probability
"""
