"""SQL over indexes and runs; what is found out about libraries.

views          the sandboxed views and how a statement is run
queries        statements with a name
audit          what an audit lists
resolvability  what a library cannot tell apart
maps           what a map draws, where, and how far apart taxa are
kmers          k-mers by rank, and Zipf's law
"""
