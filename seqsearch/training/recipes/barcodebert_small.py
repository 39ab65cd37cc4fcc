"""BarcodeBERT small enough for a laptop's CPU: 4 layers of 128 dimensions.

Tokens, what is hidden, and the schedule are the paper's. Small networks bear a higher rate, and
few sequences a step give more steps in the same time.
"""

from dataclasses import replace

from seqsearch.training.descent import Descent
from seqsearch.training.recipes import barcodebert

NETWORK = barcodebert.NETWORK | {"hidden_size": 128, "intermediate_size": 512}
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
