"""The convolutional network that BarcodeBERT's paper compares itself with; it learns from names.

Adam at 1e-3, 20 epochs of 128 sequences a step, a tanh before the last layer
(bioscan-ml/BarcodeBERT, baselines/cnn/cnn_utils.py). There is a head for every rank here, theirs is
for the species. Contrastive learning is not theirs: the loss of the recipe `hybrid`.
"""

from seqsearch.training.descent import Descent
from seqsearch.training.recipe import Contrastive, Finetuning

FAMILY = "cnn"
NETWORK = {"bases": 660, "channels": (64, 32, 16), "hidden_size": 500}
DESCENT = Descent(optimizer="adam", schedule="constant", warmup=0, second=0.999)

FINETUNE = Finetuning(
    "cnn",
    family=FAMILY,
    network=NETWORK,
    is_squashed=True,
    batch_size=128,
    steps=0,
    epochs=20,
    learning_rate=1e-3,
    descent=DESCENT,
)
CONTRASTIVE = Contrastive(
    "cnn",
    family=FAMILY,
    network=NETWORK,
    batch_size=256,
    steps=2000,
    learning_rate=1e-3,
    descent=Descent(schedule="line", second=0.999),
)
