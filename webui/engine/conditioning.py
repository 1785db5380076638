"""Prompts to what the network listens to: weights, embeddings, chunks of 75 and clip skip, the way A1111's users know them."""

from collections import OrderedDict
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from webui.core.prompt import Token, Vector, chunks, parse
from webui.engine.embeddings import Word, vectors

KEPT = 16  # encodings
SOUND_MEAN = 0.01  # of the standard deviation: nearer to 0 a mean says nothing, and its ratio is noise
COMMA = ",</w>"
STAND_IN = 0  # the token whose vector an embedding's takes the place of; any but the marks

Words = Sequence[Word]


class Conditioner:
    """A text encoder with its tokenizer, which keeps its last encodings.

    `weights` names what is merged into the encoder, so that an encoding is kept for the weights that made it.
    """

    def __init__(self, encoder: Any, tokenizer: Any, device: str) -> None:
        self._encoder = encoder
        self._tokenizer = tokenizer
        self._device = device
        self._room = int(self._encoder.config.max_position_embeddings) - 2
        comma = self._tokenizer.convert_tokens_to_ids(COMMA)
        self._comma = None if comma == self._tokenizer.unk_token_id else comma
        self._kept: OrderedDict[Hashable, Tensor] = OrderedDict()
        self.weights: Hashable = ()

    @torch.inference_mode()
    def pair(self, prompt: str, negative: str, clip_skip: int, words: Words = ()) -> tuple[Tensor, Tensor]:
        """Encodings of both, of the same length: the shorter one is followed by chunks of the empty prompt. Shape 1, tokens, width."""
        wanted, unwanted = self.encode(prompt, clip_skip, words), self.encode(negative, clip_skip, words)
        tokens = max(wanted.shape[1], unwanted.shape[1])
        return self._padded(wanted, tokens, clip_skip), self._padded(unwanted, tokens, clip_skip)

    def _padded(self, encoding: Tensor, tokens: int, clip_skip: int) -> Tensor:
        if encoding.shape[1] == tokens:
            return encoding
        empty = self.encode("", clip_skip)
        return torch.cat([encoding, *[empty] * ((tokens - encoding.shape[1]) // empty.shape[1])], 1)

    def encode(self, prompt: str, clip_skip: int, words: Words = ()) -> Tensor:
        """Shape 1, 77 · chunks, width. `clip_skip` 1 is the encoder's last layer. Each of `words` is as many tokens as it has vectors.

        Raises `Unsupported` for an embedding that is used and made for another text encoder, `LoadFailed` for a broken one.
        """
        key = (prompt, clip_skip, tuple(words), self.weights)
        if key not in self._kept:
            known = _Words(words, self._numbers, (int(self._encoder.config.hidden_size), self._room))
            parts = chunks(self._tokens(prompt, known), self._room)
            self._kept[key] = torch.cat([self._encode_chunk(chunk, clip_skip, known) for chunk in parts], 1)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def used(self, text: str, words: Words) -> tuple[Word, ...]:
        """Those of `words` that stand in a prompt."""
        known = _Words(words, self._numbers, (int(self._encoder.config.hidden_size), self._room))
        said = {token.vector.word for token in self._tokens(text, known) if token and token.vector}
        return tuple(word for word in words if word.name in said)

    def _numbers(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False, verbose=False).input_ids)

    def _tokens(self, prompt: str, known: "_Words") -> Iterator[Token | None]:
        for run in parse(prompt):
            if run.stop:
                yield None
                continue
            numbers = self._numbers(run.text)
            place = 0
            while place < len(numbers):
                word, length = known.at(numbers, place)
                if word is None:
                    yield Token(numbers[place], run.weight, numbers[place] == self._comma)
                else:
                    count = len(known.vectors(word))
                    yield from (Token(STAND_IN, run.weight, False, Vector(word, each, count)) for each in range(count))
                place += length

    def _encode_chunk(self, chunk: list[Token], clip_skip: int, known: "_Words") -> Tensor:
        begin, end, pad = (self._special(name) for name in ("bos", "eos", "pad"))
        numbers = [begin, *(token.id for token in chunk), end]
        numbers += [pad] * (self._room + 2 - len(numbers))
        with self._exchanged({place: token.vector for place, token in enumerate(chunk, 1) if token.vector}, known):
            output = self._encoder(torch.tensor([numbers], device=self._device), output_hidden_states=True)
        layers: tuple[Tensor, ...] = output.hidden_states
        hidden: Tensor = self._encoder.final_layer_norm(layers[-min(clip_skip, len(layers) - 1)])
        weights = [1.0, *(token.weight for token in chunk)]
        weights += [1.0] * (self._room + 2 - len(weights))
        return hidden if all(weight == 1 for weight in weights) else weighted(hidden, weights)

    @contextmanager
    def _exchanged(self, places: dict[int, Vector], known: "_Words") -> Iterator[None]:
        """While inside, the encoder reads an embedding's vectors at these places of the chunk."""
        if not places:
            yield
            return

        def exchange(_: Any, __: Any, read: Tensor) -> Tensor:
            read = read.clone()
            for place, vector in places.items():
                read[:, place] = known.vectors(vector.word)[vector.place].to(read)
            return read

        hook = self._encoder.embeddings.token_embedding.register_forward_hook(exchange)
        try:
            yield
        finally:
            hook.remove()

    def _special(self, name: str) -> int:
        number: Any = getattr(self._tokenizer, f"{name}_token_id")
        return int(number if number is not None else self._tokenizer.eos_token_id)


class _Words:
    """Embeddings by the tokens of their words; a file is read when its word is first met."""

    def __init__(self, words: Words, numbers: Any, limits: tuple[int, int]) -> None:
        """`limits`: how wide a vector must be, and how many a word may have."""
        spelled = [(numbers(word.name), word) for word in words]
        self._spelled = sorted(((spelling, word) for spelling, word in spelled if spelling), key=lambda row: -len(row[0]))
        self._words = {word.name: word for word in words}
        self._limits = limits
        self._read: dict[str, Tensor] = {}

    def at(self, numbers: list[int], place: int) -> tuple[str | None, int]:
        """The word that begins at `place`, the longest first, and how many tokens it takes there; None and 1 where none does."""
        for spelling, word in self._spelled:
            if numbers[place : place + len(spelling)] == spelling:
                return word.name, len(spelling)
        return None, 1

    def vectors(self, name: str) -> Tensor:
        if name not in self._read:
            self._read[name] = vectors(self._words[name], *self._limits)
        return self._read[name]


def weighted(hidden: Tensor, weights: list[float]) -> Tensor:
    """Each token's vector times its weight, then all scaled so that the mean is as before (A1111's "Original")."""
    plain = hidden.float()
    scaled = plain * torch.tensor(weights, device=hidden.device).view(1, -1, 1)
    before, after = plain.mean(), scaled.mean()
    if min(abs(before), abs(after)) > SOUND_MEAN * plain.std():
        scaled = scaled * (before / after)
    return scaled.to(hidden.dtype)
