"""Encoders: DNA to vectors. One file a family; they do not know each other.

base      the `Encoder` protocol and how encoders are saved
registry  encoders by name or folder
kmerbag   k-mer spectra projected into vectors (numpy and numba only)
"""
