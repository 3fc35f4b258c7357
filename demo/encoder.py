"""Sentence embeddings of a BERT folder: mean of the last hidden states, scaled to length 1."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported: nothing is ever fetched

import torch
from safetensors.torch import load_file, save
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

from demo.base_model import WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_EVALUATION_BATCH = 64


@dataclass(frozen=True)
class Encoder:
    """A model in float32 with its tokenizer."""

    model: BertModel
    tokenizer: Tokenizer

    def embed(self, texts: Sequence[str], tokens: int) -> torch.Tensor:
        """Embed texts, with gradients where they are enabled.

        Args:
            texts: n texts.
            tokens: Texts are cut after this many tokens.

        Returns:
            (n, hidden) float32, rows of length 1.
        """
        return self.embed_twice(texts, tokens)[0]

    def embed_twice(self, texts: Sequence[str], tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Embed texts as `embed` does, and by the model's pooler, which `embed` has no use for."""
        self.tokenizer.enable_truncation(tokens)
        self.tokenizer.enable_padding()
        batch = self.tokenizer.encode_batch(list(texts))
        ids = torch.tensor([item.ids for item in batch])  # (n, longest)
        mask = torch.tensor([item.attention_mask for item in batch])
        output = self.model(input_ids=ids, attention_mask=mask)
        states = output.last_hidden_state
        weights = mask.unsqueeze(-1).to(states.dtype)
        mean = (states * weights).sum(1) / weights.sum(1)
        normalize = torch.nn.functional.normalize
        return normalize(mean, dim=-1), normalize(output.pooler_output, dim=-1)

    def embed_all(self, texts: Sequence[str], tokens: int) -> torch.Tensor:
        """Embed any number of texts in batches, without gradients; (n, hidden) float32."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # little padding
        with torch.no_grad():
            parts = [
                self.embed([texts[i] for i in order[start : start + _EVALUATION_BATCH]], tokens)
                for start in range(0, len(order), _EVALUATION_BATCH)
            ]
        result = torch.empty(len(texts), parts[0].shape[1])
        result[order] = torch.cat(parts)
        return result


def load_encoder(folder: Path, weights: Path | None = None) -> Encoder:
    """Load a model upcast to float32, without dropout.

    Args:
        folder: A Hugging Face folder with config, tokenizer and weights.
        weights: A safetensors file to take the weights from instead of the folder's own.
    """
    config = BertConfig.from_pretrained(
        folder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    model = BertModel(config)
    tensors = load_file(weights or folder / WEIGHTS)
    model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return Encoder(model.eval(), Tokenizer.from_file(str(folder / "tokenizer.json")))


def save_bf16(model: BertModel, path: Path) -> None:
    """Write a model's weights to a safetensors file, rounded to bfloat16 (nearest even)."""
    rounded = {name: t.detach().to(torch.bfloat16) for name, t in model.state_dict().items()}
    path.write_bytes(save(rounded, metadata={"format": "pt"}))  # a full disk is an OSError here
