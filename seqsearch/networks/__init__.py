"""Networks in torch, and what brings sequences into them. Needs the extra `models`.

bert       the layers of BERT and RoBERTa, under their published names
heads      what guesses hidden tokens in pretraining
hub        k-mer tokenizers for transformers
pairs      byte-pair encoding, trained on a library
"""
