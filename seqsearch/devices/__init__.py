"""Devices: the one where encoding and searching run, and vectors that stay on it.

choice   which GPUs there are, and which a setting means
vectors  what an encoder hands to a search on the same device
lane     a device and the order of work on it; needs torch
"""
