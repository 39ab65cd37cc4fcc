"""BarcodeBERT's linear probe: what a layer alone can name from the vectors of an encoder.

SGD at 1.0 with momentum .95 and weight decay 1e-9, 200 epochs of batches of 1,024 vectors, less one
mean and over one deviation for all (bioscan-ml/BarcodeBERT, baselines/linear_probing.py). There is
a head for every rank here, theirs is for the species.
"""

from seqsearch.training.descent import Descent
from seqsearch.training.recipe import Finetuning

FINETUNE = Finetuning(
    "linear-probe",
    is_frozen=True,
    batch_size=1024,
    steps=0,
    epochs=200,
    learning_rate=1.0,
    descent=Descent(
        optimizer="sgd", schedule="constant", warmup=0, momentum=0.95, weight_decay=1e-9
    ),
)
