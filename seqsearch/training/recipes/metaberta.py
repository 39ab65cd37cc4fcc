"""MetaBERTa (EESI/MetaBERTa), with the settings of its code (pipeline/training.py).

Overlapping 6-mers of pieces of 200 bases, 15 % hidden in stretches that no neighbour tells (the
collator beside its checkpoints); AdamW at 5e-4 (epsilon 1e-4, weight decay .01), 1,000 steps of
warm-up and a cosine, gradients of at most .85, four batches of 64 pieces a step, one epoch; 8
layers with 4 heads of 2,048 dimensions, and 512 between. It takes a GPU. One change: a hidden k-mer
is guessed from its own place; their code, by a head for generation, guesses it from the place
before. Fine-tuning and contrastive learning are not theirs.
"""

from dataclasses import replace

from seqsearch.training.descent import Descent
from seqsearch.training.recipe import Contrastive, Finetuning, Pretraining

FAMILY = "metaberta"
NETWORK = {
    "k": 6,
    "bases": 200,
    "hidden_size": 2048,
    "num_hidden_layers": 8,
    "num_attention_heads": 4,
    "intermediate_size": 512,
    "max_position_embeddings": 200,
    "initializer_range": 0.02,
    "distance_range": 0.02,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
}
DESCENT = Descent(
    optimizer="adamw",
    schedule="cosine",
    warmup=1000,
    second=0.999,
    eps=1e-4,
    weight_decay=0.01,
    clip=0.85,
)

PRETRAIN = Pretraining(
    "metaberta",
    family=FAMILY,
    network=NETWORK,
    hidden=0.15,
    batch_size=64,
    steps=0,
    epochs=1,
    learning_rate=5e-4,
    descent=replace(DESCENT, accumulate=4),
)
FINETUNE = Finetuning(
    "metaberta",
    family=FAMILY,
    network=NETWORK,
    batch_size=32,
    steps=0,
    epochs=10,
    learning_rate=1e-4,
    descent=DESCENT,
)
CONTRASTIVE = Contrastive(
    "metaberta",
    family=FAMILY,
    network=NETWORK,
    batch_size=128,
    steps=6000,
    learning_rate=1e-4,
    descent=DESCENT,
)
