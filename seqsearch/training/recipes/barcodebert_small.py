"""BarcodeBERT small enough for a laptop's CPU: 4 layers of 128 dimensions.

Tokens, what is hidden, and the schedule are the paper's. Small networks bear a higher rate, and
few sequences a step give more steps in the same time. There is no dropout: a network this small
does not learn by heart what it sees a few times, and without it a step takes half as long (random
numbers are slow on a CPU, and keep attention off its fast path).
"""

from dataclasses import replace

from seqsearch.training.descent import Descent
from seqsearch.training.recipes import barcodebert

NETWORK = barcodebert.NETWORK | {
    "hidden_size": 128,
    "intermediate_size": 512,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
DESCENT = Descent(optimizer="adamw", schedule="one-cycle", second=0.999)

PRETRAIN = replace(
    barcodebert.PRETRAIN,
    name="barcodebert-small",
    network=NETWORK,
    batch_size=8,
    steps=3000,
    epochs=0,
    learning_rate=2e-3,
    descent=DESCENT,
)
FINETUNE = replace(
    barcodebert.FINETUNE,
    name="barcodebert-small",
    network=NETWORK,
    steps=1000,
    epochs=0,
    learning_rate=5e-4,
    descent=DESCENT,
)
CONTRASTIVE = replace(
    barcodebert.CONTRASTIVE,
    name="barcodebert-small",
    network=NETWORK,
    batch_size=64,
    steps=1000,
    learning_rate=5e-4,
    descent=replace(barcodebert.CONTRASTIVE.descent, warmup=100),
)
