"""Prompts to what the network listens to: weights, chunks of 75 and clip skip, the way A1111's users know them."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from webui.core.prompt import Token, chunks, parse

KEPT = 16  # encodings
SOUND_MEAN = 0.01  # of the standard deviation: nearer to 0 a mean says nothing, and its ratio is noise
COMMA = ",</w>"


class Conditioner:
    """A text encoder with its tokenizer, which keeps its last encodings."""

    def __init__(self, encoder: Any, tokenizer: Any, device: str) -> None:
        self._encoder = encoder
        self._tokenizer = tokenizer
        self._device = device
        self._room = int(self._encoder.config.max_position_embeddings) - 2
        comma = self._tokenizer.convert_tokens_to_ids(COMMA)
        self._comma = None if comma == self._tokenizer.unk_token_id else comma
        self._kept: OrderedDict[tuple[str, int], Tensor] = OrderedDict()

    @torch.inference_mode()
    def pair(self, prompt: str, negative: str, clip_skip: int) -> tuple[Tensor, Tensor]:
        """Encodings of both, of the same length: the shorter one is followed by chunks of the empty prompt. Shape 1, tokens, width."""
        wanted, unwanted = self.encode(prompt, clip_skip), self.encode(negative, clip_skip)
        tokens = max(wanted.shape[1], unwanted.shape[1])
        return self._padded(wanted, tokens, clip_skip), self._padded(unwanted, tokens, clip_skip)

    def _padded(self, encoding: Tensor, tokens: int, clip_skip: int) -> Tensor:
        if encoding.shape[1] == tokens:
            return encoding
        empty = self.encode("", clip_skip)
        return torch.cat([encoding, *[empty] * ((tokens - encoding.shape[1]) // empty.shape[1])], 1)

    def encode(self, prompt: str, clip_skip: int) -> Tensor:
        """Shape 1, 77 · chunks, width. `clip_skip` 1 is the encoder's last layer."""
        key = (prompt, clip_skip)
        if key not in self._kept:
            self._kept[key] = torch.cat([self._encode_chunk(chunk, clip_skip) for chunk in chunks(self._tokens(prompt), self._room)], 1)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def _tokens(self, prompt: str) -> Iterator[Token | None]:
        for run in parse(prompt):
            if run.stop:
                yield None
                continue
            for number in self._tokenizer(run.text, add_special_tokens=False, verbose=False).input_ids:
                yield Token(number, run.weight, number == self._comma)

    def _encode_chunk(self, chunk: list[Token], clip_skip: int) -> Tensor:
        begin, end, pad = (self._special(name) for name in ("bos", "eos", "pad"))
        numbers = [begin, *(token.id for token in chunk), end]
        numbers += [pad] * (self._room + 2 - len(numbers))
        output = self._encoder(torch.tensor([numbers], device=self._device), output_hidden_states=True)
        layers: tuple[Tensor, ...] = output.hidden_states
        hidden: Tensor = self._encoder.final_layer_norm(layers[-min(clip_skip, len(layers) - 1)])
        weights = [1.0, *(token.weight for token in chunk)]
        weights += [1.0] * (self._room + 2 - len(weights))
        return hidden if all(weight == 1 for weight in weights) else weighted(hidden, weights)

    def _special(self, name: str) -> int:
        number: Any = getattr(self._tokenizer, f"{name}_token_id")
        return int(number if number is not None else self._tokenizer.eos_token_id)


def weighted(hidden: Tensor, weights: list[float]) -> Tensor:
    """Each token's vector times its weight, then all scaled so that the mean is as before (A1111's "Original")."""
    plain = hidden.float()
    scaled = plain * torch.tensor(weights, device=hidden.device).view(1, -1, 1)
    before, after = plain.mean(), scaled.mean()
    if min(abs(before), abs(after)) > SOUND_MEAN * plain.std():
        scaled = scaled * (before / after)
    return scaled.to(hidden.dtype)
