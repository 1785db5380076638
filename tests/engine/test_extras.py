"""Files beside the checkpoint in the real engine: pictures to the bit, what is refused, and what the infotext is told."""

import hashlib

import pytest
import torch
from safetensors.torch import load_file

from tests.engine.conftest import a_request, never
from tests.engine.loras import made
from webui.core.errors import Cancelled, LoadFailed, Unsupported
from webui.core.events import Produced, Step

INK = {"loras": ({"name": "ink", "unet": 0.7, "text_encoder": 0.7},)}


def picture(engine, **changes):
    return next(event for event in engine.run(a_request(**changes), cancelled=never) if isinstance(event, Produced))


def bits(engine, **changes):
    return picture(engine, **changes).image.tobytes()


@pytest.fixture
def extra(home):
    """Writes a file below models/ and takes it away afterwards."""
    written = []

    def write(name, tensors):
        path = home / "models" / name
        written.append(path)
        return made.write(path, tensors)

    yield write
    for path in written:
        path.unlink()


def test_a_lora_in_the_weights_is_a_checkpoint_with_those_weights(diffusion, pipeline):
    """The same picture as from weights that were changed by hand."""
    plain, wanted = bits(diffusion), bits(diffusion, **INK)
    pipeline.loras.restore()
    pipeline.conditioner._kept.clear()  # it cannot know of changes by hand
    file = load_file(diffusion._shelves.find("lora", "ink").path)
    changed = {
        "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q": pipeline.unet.mid_block.attentions[0]
        .transformer_blocks[0]
        .attn1.to_q,
        "lora_unet_conv_in": pipeline.unet.conv_in,
        "lora_te_text_model_encoder_layers_1_mlp_fc1": pipeline.text_encoder.encoder.layers[1].mlp.fc1,
    }
    before = {name: module.weight.clone() for name, module in changed.items()}
    try:
        with torch.no_grad():
            for name, module in changed.items():
                up, down, alpha = (file[f"{name}.{part}"] for part in ("lora_up.weight", "lora_down.weight", "alpha"))
                product = (up.flatten(1) @ down.flatten(1)).reshape(module.weight.shape)
                module.weight.add_(product * (alpha / down.shape[0]) * 0.7)
        ours = picture(diffusion).image
        assert max(abs(a - b) for a, b in zip(ours.tobytes(), wanted, strict=True)) <= 1
        assert wanted != plain
    finally:
        with torch.no_grad():
            for name, module in changed.items():
                module.weight.copy_(before[name])
        pipeline.conditioner._kept.clear()


def test_encodings_are_kept_for_the_weights_that_made_them(diffusion, pipeline):
    calls = []
    request = {"prompt": "dog cat", "negative_prompt": "cat dog"}
    hook = pipeline.text_encoder.register_forward_pre_hook(lambda *_: calls.append(1))
    try:
        for changes in ({}, INK, {}, INK):
            picture(diffusion, **request, **changes)
    finally:
        hook.remove()
    assert len(calls) == 4


def test_a_cancel_leaves_the_next_picture_as_it_was(diffusion):
    plain = bits(diffusion)
    seen = []
    with pytest.raises(Cancelled):
        seen.extend(diffusion.run(a_request(**INK), cancelled=lambda: True))
    assert not any(isinstance(event, Step) for event in seen)
    assert bits(diffusion) == plain


def test_a_broken_lora_leaves_the_next_picture_as_it_was(diffusion, extra):
    plain = bits(diffusion)
    extra(
        "loras/torn.safetensors",
        {
            "lora_unet_mid_block_resnets_0_time_emb_proj.weight": torch.zeros(128),
            "lora_unet_mid_block_resnets_0_time_emb_proj.on_input": torch.tensor(False),
        },
    )
    with pytest.raises(LoadFailed, match="“torn” could not be merged"):
        bits(diffusion, loras=({"name": "ink"}, {"name": "torn"}))
    assert bits(diffusion) == plain


def test_what_does_not_fit_is_refused_before_the_first_step(diffusion, extra):
    wide = made.keys("lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k", torch.zeros(64, 768))
    extra("loras/wide.safetensors", wide)
    seen = []
    with pytest.raises(Unsupported, match="“wide” does not fit “tiny”: .* It was made for Stable Diffusion 1") as caught:
        seen.extend(diffusion.run(a_request(loras=({"name": "wide"},)), cancelled=never))
    assert caught.value.field == "loras"
    assert not any(isinstance(event, Step) for event in seen)


def test_hashes_are_told_as_a1111_writes_them(diffusion, home):
    models = home / "models"
    facts = picture(diffusion, prompt="cat inked", embeddings=("inked",), vae="other", **INK).facts
    data = (models / "loras" / "ink.safetensors").read_bytes()
    after_header = data[8 + int.from_bytes(data[:8], "little") :]
    assert facts["Lora hashes"] == f"ink: {hashlib.sha256(after_header).hexdigest()[:12]}"
    assert facts["TI hashes"] == f"inked: {hashlib.sha256((models / 'embeddings' / 'inked.safetensors').read_bytes()).hexdigest()[:12]}"
    assert facts["VAE hash"] == hashlib.sha256((models / "vae" / "other.safetensors").read_bytes()).hexdigest()[:10]
    assert facts["VAE"] == "other.safetensors"
    assert not {"Lora hashes", "TI hashes", "VAE", "Left out"} & picture(diffusion, embeddings=("inked",)).facts.keys(), "no word, no use"


# --- VAE ---


def test_both_layouts_of_a_vae_make_the_same_picture(diffusion, pipeline):
    assert bits(diffusion, vae="other") == bits(diffusion, vae="other-original")
    assert len(diffusion._vaes._kept) == 2
    assert pipeline.vae not in diffusion._vaes._kept.values()
    diffusion._vaes.clear()


def test_a_vae_of_another_kind_is_refused(diffusion, extra):
    extra("vae/large.safetensors", {"decoder.conv_in.weight": torch.zeros(16, 16, 3, 3)})
    with pytest.raises(Unsupported, match=r"“large” does not fit “tiny”: its latents have 16 channels, not 4\."):
        picture(diffusion, vae="large")
    extra("vae/half.safetensors", {"decoder.conv_in.weight": torch.zeros(16, 4, 3, 3)})
    with pytest.raises(Unsupported, match=r"of its weights are missing or of another size"):
        picture(diffusion, vae="half")
    extra("vae/none.safetensors", {"foo": torch.zeros(1)})
    with pytest.raises(Unsupported, match="it has no decoder"):
        picture(diffusion, vae="none")


# --- embeddings ---


@pytest.fixture
def words(home):
    from webui.engine.embeddings import Word

    return (Word("inked", home / "models" / "embeddings" / "inked.safetensors"),)


def test_a_word_takes_as_many_tokens_as_it_has_vectors(pipeline, words):
    conditioner = pipeline.conditioner
    chunk = list(conditioner._tokens("cat inked dog", _known(conditioner, words)))
    assert [token.vector and token.vector.place for token in chunk] == [None, 0, 1, None]
    assert conditioner.encode("inked " * 37 + "cat", 1, words).shape[1] == 77
    full = conditioner.encode("cat " * 74 + "inked", 1, words)
    assert full.shape[1] == 154, "it does not fit, so the chunk is closed first"
    assert torch.equal(full[:, 77:], conditioner.encode("inked", 1, words))
    assert torch.equal(full[:, :77], conditioner.encode("cat " * 74, 1))


def _known(conditioner, words):
    from webui.engine.conditioning import _Words

    return _Words(words, conditioner._numbers, (32, 75))


def test_its_vectors_are_what_the_encoder_reads(pipeline, words):
    """As if the tokens' own vectors were these."""
    conditioner = pipeline.conditioner
    got = conditioner.encode("cat inked dog", 1, words)
    vectors = load_file(words[0].path)["emb_params"]
    table = pipeline.text_encoder.embeddings.token_embedding
    cat, dog, spare = (conditioner._numbers(text)[0] for text in ("cat", "dog", "a"))
    other = conditioner._numbers("b")[0]
    kept = table.weight.clone()
    try:
        with torch.no_grad():
            table.weight[spare], table.weight[other] = vectors[0], vectors[1]
        begin, end = conditioner._special("bos"), conditioner._special("eos")
        numbers = [begin, cat, spare, other, dog, *[end] * 72]
        with torch.no_grad():
            wanted = pipeline.text_encoder(torch.tensor([numbers])).last_hidden_state
    finally:
        with torch.no_grad():
            table.weight.copy_(kept)
    assert torch.equal(got, wanted)
    assert torch.equal(conditioner.encode("cat inked dog", 1), conditioner.encode("cat inked dog", 1, ())), "without the file it is a word"


def test_a_word_can_be_weighted_and_stands_in_either_prompt(diffusion, words):
    plain = bits(diffusion, prompt="inked", embeddings=("inked",))
    assert bits(diffusion, prompt="(inked:1.5)", embeddings=("inked",)) != plain
    assert bits(diffusion, prompt="INKED", embeddings=("inked",)) == plain, "CLIP knows no capitals"
    assert bits(diffusion, negative_prompt="inked", embeddings=("inked",)) != bits(diffusion, negative_prompt="inked")


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({"emb_params": torch.zeros(2, 768)}, "was made for Stable Diffusion 1, with vectors 768 wide; this checkpoint's are 32 wide"),
        ({"clip_l": torch.zeros(2, 32), "clip_g": torch.zeros(2, 1280)}, "was made for SDXL"),
        ({"emb_params": torch.zeros(76, 32)}, "has 76 vectors; 75 fit"),
        ({"a": torch.zeros(2, 32), "b": torch.zeros(1)}, "is no embedding"),
        ({"emb_params": torch.zeros(2, 3, 32)}, "is no embedding"),
    ],
)
def test_an_embedding_that_does_not_fit_is_refused_in_a_sentence(diffusion, extra, tensors, reason):
    extra("embeddings/odd.safetensors", tensors)
    with pytest.raises(Unsupported, match=reason):
        bits(diffusion, prompt="cat odd", embeddings=("odd",))
    assert bits(diffusion, prompt="cat", embeddings=("odd",)) == bits(diffusion, prompt="cat"), "one that no prompt names harms nobody"


def test_diffusers_layout_has_the_vector_under_its_word(diffusion, extra, words):
    vectors = load_file(words[0].path)["emb_params"]
    extra("embeddings/learned.safetensors", {"<inked>": vectors[0].clone()})
    extra("embeddings/single.safetensors", {"emb_params": vectors[:1].clone()})
    learned = bits(diffusion, prompt="a learned dog", embeddings=("learned",))
    assert learned == bits(diffusion, prompt="a single dog", embeddings=("single",))
