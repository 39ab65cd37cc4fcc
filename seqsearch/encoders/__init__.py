"""Encoders: DNA to vectors. One file a family; they do not know each other.

base      the `Encoder` protocol and how encoders are saved
registry  encoders by name or folder
spectrum  k-mer spectra projected at random: untrained, the yardstick
kmerbag   a trained vector for every k-mer, summed, with a small network on top
hybrid    several encoders side by side in one vector
"""
