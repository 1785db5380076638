import pytest
import torch

from webui.engine.conditioning import KEPT, Conditioner, weighted


@pytest.fixture
def conditioner(pipeline):
    return pipeline.conditioner


def plain(pipeline, text):
    """What transformers makes of a text by itself."""
    tokenizer = pipeline.conditioner._tokenizer
    numbers = tokenizer(text, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    with torch.no_grad():
        return pipeline.text_encoder(numbers, output_hidden_states=True)


def test_a_plain_prompt_is_what_transformers_makes_of_it(pipeline, conditioner):
    for text in ("a cat and a dog", "", "cat " * 20):
        assert torch.equal(conditioner.encode(text, 1), plain(pipeline, text).last_hidden_state)


def test_clip_skip_takes_an_earlier_layer_and_the_last_norm(pipeline, conditioner):
    layers = plain(pipeline, "a cat").hidden_states
    wanted = pipeline.text_encoder.final_layer_norm(layers[-2])
    assert torch.allclose(conditioner.encode("a cat", 2), wanted, atol=1e-5)
    assert not torch.allclose(conditioner.encode("a cat", 2), conditioner.encode("a cat", 1), atol=1e-2)
    assert torch.equal(conditioner.encode("a cat", 12), conditioner.encode("a cat", 3)), "no deeper than there are layers"


def test_long_prompts_are_encoded_in_chunks(conditioner):
    long = "cat " * 80
    assert conditioner.encode(long, 1).shape == (1, 154, 32)
    first = conditioner.encode("cat " * 75, 1)
    assert torch.equal(conditioner.encode(long, 1)[:, :77], first)
    assert torch.equal(conditioner.encode(long, 1)[:, 77:], conditioner.encode("cat " * 5, 1))


def test_break_begins_a_new_chunk(conditioner):
    both = conditioner.encode("cat BREAK dog", 1)
    assert torch.equal(both, torch.cat([conditioner.encode("cat", 1), conditioner.encode("dog", 1)], 1))


def test_a_phrase_moves_to_the_next_chunk_with_its_comma_behind(conditioner):
    text = "cat " * 70 + ", " + "dog " * 10
    wanted = torch.cat([conditioner.encode("cat " * 70 + ",", 1), conditioner.encode("dog " * 10, 1)], 1)
    assert torch.equal(conditioner.encode(text, 1), wanted)


def test_the_shorter_side_is_padded_with_the_empty_prompt(conditioner):
    wanted, unwanted = conditioner.pair("cat BREAK dog BREAK cat", "dog", 1)
    assert wanted.shape == unwanted.shape == (1, 231, 32)
    empty = conditioner.encode("", 1)
    assert torch.equal(unwanted, torch.cat([conditioner.encode("dog", 1), empty, empty], 1))
    wanted, unwanted = conditioner.pair("cat", "cat", 1)
    assert wanted.shape == (1, 77, 32)


def test_weights_pull_on_their_own_tokens(conditioner):
    flat, raised = conditioner.encode("cat dog", 1), conditioner.encode("cat (dog:1.5)", 1)
    ratio = (raised / flat)[0]  # begin, cat, dog, end …
    assert torch.allclose(ratio[2] / ratio[1], torch.tensor(1.5), atol=1e-3)
    assert torch.allclose(ratio[1], ratio[0], atol=1e-3)
    assert torch.equal(conditioner.encode("(cat:1.0) dog", 1), flat)
    assert not torch.isnan(conditioner.encode("(cat:0) [[dog]]", 1)).any()


def test_the_mean_is_restored_where_there_is_one():
    hidden = torch.randn(1, 77, 32, generator=torch.Generator().manual_seed(0)) + 0.5
    weights = [1.0, 1.6] * 38 + [1.0]
    assert weighted(hidden, weights).mean() == pytest.approx(float(hidden.mean()), rel=1e-4)
    centred = hidden - hidden.mean()
    assert weighted(centred, weights).abs().max() < 1.7 * centred.abs().max()


def test_encodings_are_kept_but_not_for_ever(pipeline):
    calls = []
    conditioner = Conditioner(pipeline.text_encoder, pipeline.conditioner._tokenizer, "cpu")
    handle = pipeline.text_encoder.register_forward_pre_hook(lambda *_: calls.append(1))
    try:
        for _ in range(3):
            conditioner.pair("cat", "dog", 1)
        assert len(calls) == 2
        for number in range(KEPT + 5):
            conditioner.encode(f"cat {number}", 1)
        assert len(conditioner._kept) == KEPT
    finally:
        handle.remove()
