"""Heads of pretraining, against those of transformers."""

from __future__ import annotations

import torch
from torch import nn
from transformers import RobertaConfig, RobertaForMaskedLM

from seqsearch.networks.heads import TiedHead, TokenHead


def test_the_tied_head_is_robertas() -> None:
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=11,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        layer_norm_eps=1e-12,
    )
    theirs = RobertaForMaskedLM(config).train(False)
    nn.init.normal_(theirs.lm_head.bias)
    ours = TiedHead(theirs.roberta.embeddings.word_embeddings, 1e-12)
    state = theirs.lm_head.state_dict()
    ours.load_state_dict({name: state[name] for name in ours.state_dict()})
    states = torch.randn(3, 5, 8)
    assert torch.allclose(ours(states), theirs.lm_head(states), atol=1e-6)
    assert {name for name, _ in ours.named_parameters()} == {
        "dense.weight",
        "dense.bias",
        "layer_norm.weight",
        "layer_norm.bias",
        "bias",
    }


def test_the_token_head_drops_out_in_training_only() -> None:
    torch.manual_seed(0)
    head, states = TokenHead(8, 4, 0.5), torch.randn(2, 8)
    plain = states @ head.classifier.weight.T + head.classifier.bias
    assert not torch.allclose(head(states), plain)
    assert torch.allclose(head.train(False)(states), plain)
