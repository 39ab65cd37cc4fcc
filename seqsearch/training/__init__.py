"""Training encoders: labelled sequences in, an encoder's folder out.

labelled      the sequences of index folders, each with one lineage, or of plain files
split         what is learned from, and the development split
sampling      which sequences meet in a batch
augmentation  crops, substitutions, indels
order         each sequence once an epoch, the same from any batch on
batches       batches of one marker in which relatives meet, the same from any step on
masking       what pretraining hides
objectives    losses over the similarities of a batch
recipe        all settings of a training; recipes/ holds one small file each
choosing      recipes by name, and changes of them
descent       optimizers and their rates
bag           the k-mer bag in torch
vectors       networks in torch: what they take in, and their vectors
contrasting   the task of telling taxa apart
pretraining   the task of guessing hidden tokens
finetuning    the task of naming, a head for each rank
unigram       what a guess is worth that knows the place only
loop          one loop for all tasks, from the first step to the trained model
checkpoint    where a killed training goes on
validation    1-NN percent right on the development split
card          the model card, and hashes of what was learned from
"""
