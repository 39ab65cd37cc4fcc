"""BarcodeBERT small enough for a laptop's CPU: 4 layers of 128 dimensions, over 6-mers.

What is hidden, and the schedule are the paper's. 6-mers are the longest of the 4- to 6-mers that it
compares; they find relatives better than 4-mers in its table (1-NN genus of new species 57.6 and
49.0) and here. Vectors are means over all six reading frames, for libraries of barcodes that do not
all begin at one place. Small networks bear a higher rate, and learn sooner from weights drawn wider
than BERT's .02, which is for 768 dimensions: .08 is about 1 over the root of 128. Few sequences a
step give more steps in the same time. There is no dropout: a network this small does not learn by
heart what it sees a few times, and without it a step takes half as long (random numbers are slow on
a CPU, and keep attention off its fast path).

The longer so small a network learns from names, the better it reads fragments, and the worse it
tells the genera of species that it does not learn from (docs/encoders.md): half of the weights it
started from stay. A step sees a sequence in all frames; in one or two, drawn, of three times as
many sequences it learned nothing that helped.
"""

from dataclasses import replace

from seqsearch.training.descent import Descent
from seqsearch.training.recipes import barcodebert

NETWORK = barcodebert.NETWORK | {
    "k": 6,
    "has_all_frames": True,
    "hidden_size": 128,
    "intermediate_size": 512,
    "initializer_range": 0.08,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
DESCENT = Descent(optimizer="adamw", schedule="one-cycle", second=0.999)

PRETRAIN = replace(
    barcodebert.PRETRAIN,
    name="barcodebert-small",
    network=NETWORK,
    batch_size=16,
    steps=2500,
    epochs=0,
    learning_rate=2e-3,
    descent=DESCENT,
)
FINETUNE = replace(
    barcodebert.FINETUNE,
    name="barcodebert-small",
    network=NETWORK,
    steps=500,
    epochs=0,
    learning_rate=5e-4,
    descent=DESCENT,
)
CONTRASTIVE = replace(
    barcodebert.CONTRASTIVE,
    name="barcodebert-small",
    network=NETWORK,
    batch_size=32,
    steps=1800,
    learning_rate=3e-4,
    start_share=0.5,
    descent=replace(barcodebert.CONTRASTIVE.descent, warmup=50),
)
