"""BarcodeBERT (bioscan-ml/BarcodeBERT), with the settings of its code's commands.

Pretraining: half of the 4-mers hidden, loss over all; AdamW at 1e-4 for 64 sequences a step without
weight decay, one cycle, 35 epochs, 16 sequences a GPU; 4 layers with 4 heads of 768 dimensions
(README.md and pretraining.py). A million barcodes take a GPU. Fine-tuning: the same with 32
sequences a step (README.md and finetuning.py), a head for every rank, not for the species alone.
Contrastive learning is not theirs: the loss of the recipe `hybrid`, at the rate of fine-tuning.
"""

from seqsearch.training.descent import Descent
from seqsearch.training.recipe import Contrastive, Finetuning, Pretraining

FAMILY = "barcodebert"
NETWORK = {
    "k": 4,
    "bases": 660,
    "has_all_frames": False,
    "hidden_size": 768,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "initializer_range": 0.02,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
}
DESCENT = Descent(optimizer="adamw", schedule="one-cycle", second=0.999, scaled_from=64)

PRETRAIN = Pretraining(
    "barcodebert",
    family=FAMILY,
    network=NETWORK,
    hidden=0.5,
    batch_size=16,
    steps=0,
    epochs=35,
    learning_rate=1e-4,
    descent=DESCENT,
)
FINETUNE = Finetuning(
    "barcodebert",
    family=FAMILY,
    network=NETWORK,
    batch_size=32,
    steps=0,
    epochs=35,
    learning_rate=1e-4,
    descent=DESCENT,
)
CONTRASTIVE = Contrastive(
    "barcodebert",
    family=FAMILY,
    network=NETWORK,
    batch_size=128,
    steps=6000,
    learning_rate=1e-4,
    descent=Descent(optimizer="adamw", schedule="line", warmup=500, second=0.999, clip=1.0),
)
