"""Protocols and peers.

bench        build, classify and score the libraries of a bench folder through the command line
bench_table  its results as text and as TSV
peers        a library of the bench folder: questions, truth, and other tools' answers
measure      wall time and peak memory of a command
"""
