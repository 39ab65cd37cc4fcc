"""MetaBERTa small enough for a laptop's CPU: 4-mers, 3 layers of 128 dimensions.

Pieces, what is hidden, and the schedule's form are theirs; the rate is higher, as small networks
bear, and the epsilon the usual one, since 1e-4 holds small gradients back. Weights are drawn wider
than BERT's .02, which is for 768 dimensions: .08 is about 1 over the root of 128. Vectors of
distances are drawn with a deviation of 1, so that attention looks nearer or farther from the first
step on: a hidden k-mer is told by its neighbours, and drawn at .02 a network takes over a thousand
steps to find that out.
"""

from dataclasses import replace

from seqsearch.training.recipes import metaberta

NETWORK = metaberta.NETWORK | {
    "k": 4,
    "hidden_size": 128,
    "num_hidden_layers": 3,
    "intermediate_size": 256,
    "initializer_range": 0.08,
    "distance_range": 1.0,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
DESCENT = replace(metaberta.DESCENT, warmup=100, eps=1e-8)

PRETRAIN = replace(
    metaberta.PRETRAIN,
    name="metaberta-small",
    network=NETWORK,
    batch_size=16,
    steps=1500,
    epochs=0,
    learning_rate=2e-3,
    descent=DESCENT,
)
FINETUNE = replace(
    metaberta.FINETUNE,
    name="metaberta-small",
    network=NETWORK,
    steps=1000,
    epochs=0,
    learning_rate=5e-4,
    descent=DESCENT,
)
CONTRASTIVE = replace(
    metaberta.CONTRASTIVE,
    name="metaberta-small",
    network=NETWORK,
    batch_size=64,
    steps=1000,
    learning_rate=5e-4,
    descent=DESCENT,
)
