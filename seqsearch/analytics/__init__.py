"""SQL over indexes and runs.

views    the sandboxed views and how a statement is run
queries  statements with a name
"""
