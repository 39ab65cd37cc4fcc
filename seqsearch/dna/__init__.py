"""Reading, cleaning, strand and simulation of DNA.

batch       SequenceBatch: cleaned DNA as one byte array and offsets
cleaning    bytes of a FASTA or FASTQ file to clean DNA, compiled
reading     files of any compression, streamed as batches
strand      the reverse complement
digests     128-bit hashes of sequences
simulation  marker libraries grown along a random tree
"""
