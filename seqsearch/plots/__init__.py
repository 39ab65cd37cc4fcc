"""Figures, with matplotlib (the extra report), and a page.

figures      how all of them are made and written
reliability  share of names that are right, over their probability
maps         points of a space, coloured by taxon
page         the same as HTML
zipf         counts of k-mers over their rank
"""
