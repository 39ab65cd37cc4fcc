"""The command line: one file per command group, which parses, calls and prints.

Heavy imports stand inside the commands, so that `seqsearch --help` answers at once.
"""
