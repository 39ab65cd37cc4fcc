"""The index folder: immutable segments, a DuckDB catalog, and one pointer to what is current.

manifest  what an index consists of, and the swap that makes a new one current
segments  the truth: unique sequences with their labels and vectors
catalog   derived: refs, taxa and sources in DuckDB
store     an index opened for reading
writer    an index opened for writing
flat      exact search with FAISS
"""
