"""From vectors to votes.

retrieve  the nearest references of each query, the same however it is asked
vote      top-down vote of the candidates along their lineages
calls     what the votes say, as tables, and assignments drawn from them
"""
