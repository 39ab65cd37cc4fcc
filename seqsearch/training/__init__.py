"""Training encoders: labelled sequences in, an encoder's folder out.

labelled      the sequences of index folders, each with one lineage
split         what is learned from, and the development split
sampling      which sequences meet in a batch
augmentation  crops, substitutions, indels
batches       the stream of batches, the same from any step on
objectives    losses over the similarities of a batch
recipe        all settings of a training; recipes/ holds one small file each
bag           the k-mer bag in torch
loop          one loop, from the first step to the saved encoder
checkpoint    where a killed training goes on
validation    1-NN percent right on the development split
card          the model card, and hashes of what was learned from
"""
