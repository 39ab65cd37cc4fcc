"""Protocols and peers.

bench        build, classify and score the libraries of a bench folder through the command line
bench_table  its results as text and as TSV
peers        a library of the bench folder: questions, truth, and other tools' answers
reliability  how often species names are right, by what stood beside them
holdout      a development split: references asked with their own kin hidden
measure      wall time and peak memory of a command
"""
