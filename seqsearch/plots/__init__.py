"""Figures, with matplotlib (the extra report).

figures      how all of them are made and written
reliability  share of names that are right, over their probability
"""
