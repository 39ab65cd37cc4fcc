"""The tokenizer for transformers gives the numbers of the arrays, and survives saving."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.tokens import (
    KmerVocabulary,
    barcode_vocabulary,
    metaberta_vocabulary,
    overlapping,
    side_by_side,
)
from seqsearch.encoders.barcodebert import BarcodeBertConfig
from seqsearch.networks.hub import KmerTokenizer, tokenizer_of

TEXTS = ["ACGTTACGATTTACGGACATTAGC", "ACGTNACGRATTTT", "ACGTACG", "TTTTTTTTTT"]
BATCH = SequenceBatch.from_clean(TEXTS, [text.encode() for text in TEXTS])


@pytest.mark.parametrize(
    "vocabulary",
    [
        barcode_vocabulary(4),
        barcode_vocabulary(5, has_n=True),
        barcode_vocabulary(6, is_workshop=True),
        KmerVocabulary(1, has_n=True),
    ],
)
def test_side_by_side(vocabulary: KmerVocabulary, tmp_path: Path) -> None:
    tokens = side_by_side(BATCH, vocabulary, 660)
    made = tokenizer_of(vocabulary, vocabulary.k)
    made.save_pretrained(tmp_path)
    for tokenizer in (made, KmerTokenizer.from_pretrained(tmp_path)):
        found = tokenizer(TEXTS, padding=True)
        assert found["attention_mask"] == tokens.mask.astype(int).tolist()
        for ids, row, length in zip(found["input_ids"], tokens.ids, tokens.lengths, strict=True):
            assert ids[:length] == row[:length].tolist()
        assert tokenizer.get_vocab() == {w: i for i, w in enumerate(vocabulary.words())}
        assert len(tokenizer) == vocabulary.size
    assert made("acgtacgt")["input_ids"][0] == vocabulary.number(vocabulary.unknown)


@pytest.mark.parametrize("k", [3, 6])
def test_overlapping(k: int) -> None:
    vocabulary = metaberta_vocabulary(k)
    tokens = overlapping(BATCH, vocabulary, most=12)
    found = tokenizer_of(vocabulary, 1, "[CLS]", "[SEP]")(
        TEXTS, padding=True, truncation=True, max_length=12
    )
    assert found["input_ids"] == tokens.ids.tolist()
    assert found["attention_mask"] == tokens.mask.astype(int).tolist()


def test_transformers_finds_it(tmp_path: Path) -> None:
    tokenizer_of(barcode_vocabulary(4), 4).save_pretrained(tmp_path)
    BarcodeBertConfig().save_pretrained(tmp_path)
    found = AutoTokenizer.from_pretrained(tmp_path)
    assert type(found) is KmerTokenizer
    assert (found.mask_token_id, found.unk_token_id, found.pad_token_id) == (0, 1, 1)
    assert found.convert_ids_to_tokens([0, 2, 257]) == ["[MASK]", "AAAA", "TTTT"]
