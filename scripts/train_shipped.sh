#!/usr/bin/env bash
# Trains the encoder that ships: scripts/train_shipped.sh DATA WORK OUT [SEED] [option of train ...]
# DATA has bench/ and train/ (docs/encoders.md says what they are), WORK keeps the indexes.
set -euo pipefail
data=$1 work=$2 out=$3 seed=${4:-0}
shift $(($# < 4 ? $# : 4))
seqsearch=${SEQSEARCH:-seqsearch}

build() {  # marker, sequences, table
  [ -f "$work/$1/manifest.json" ] || "$seqsearch" index build "$2" --taxonomy "$3" \
    -o "$work/$1" --marker "$1" --encoder spectrum --quiet
}

mkdir -p "$work"
shares=()
for folder in "$data"/bench/*/; do
  marker=$(basename "$folder")
  build "$marker" "$folder/ref.fasta.gz" "$folder/ref.tax.tsv"
done
for table in "$data"/train/*.tax.tsv.gz; do
  marker=$(basename "$table" .tax.tsv.gz)
  build "$marker" "${table%.tax.tsv.gz}.fasta.gz" "$table"
  shares+=(--share "$marker=0.25")  # they widen the view, the bench's libraries are the focus
done
"$seqsearch" train contrastive "$work"/*/ -o "$out" --recipe hybrid --holdout genera \
  --seed "$seed" "${shares[@]}" "$@"
