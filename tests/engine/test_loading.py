import io
import json
import shutil

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.engine import tiny
from tests.engine.conftest import a_request, never
from webui.core.errors import LoadFailed
from webui.core.records import ModelRecord
from webui.engine import loading
from webui.engine.device import choose
from webui.library.vocabulary import clip_merges

DEVICE = choose("cpu", ("cpu", "fp32", "sdpa"))
CONFIGS = loading.Configs(tiny.UNET, tiny.VAE, tiny.TEXT_ENCODER, tiny.EPSILON)


def record(path, layout="single_file"):
    return ModelRecord(id="x", label="X", path=path, layout=layout, family="sd15", bytes=1)


@pytest.fixture
def copied(home, tmp_path):
    """The folder checkpoint, to be broken."""
    return shutil.copytree(home / "models" / "checkpoints" / "tiny", tmp_path / "checkpoints" / "tiny")


def test_a_folder_without_a_component(copied):
    (copied / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(LoadFailed, match=r"no vae/\*\.safetensors"):
        loading.from_folder(record(copied, "diffusers"), DEVICE)


def test_a_folder_with_pickles_only_is_not_opened(copied):
    (copied / "unet" / "diffusion_pytorch_model.safetensors").rename(copied / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(LoadFailed, match="may run code and are not opened"):
        loading.from_folder(record(copied, "diffusers"), DEVICE)


def test_a_damaged_file_is_named(copied):
    weights = copied / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(LoadFailed, match="“X” could not be loaded from tiny: "):
        loading.from_folder(record(copied, "diffusers"), DEVICE)


def test_a_variant_is_taken_where_there_is_nothing_else(copied):
    for component, stem in (("unet", "diffusion_pytorch_model"), ("vae", "diffusion_pytorch_model"), ("text_encoder", "model")):
        (copied / component / f"{stem}.safetensors").rename(copied / component / f"{stem}.fp16.safetensors")
    assert loading.from_folder(record(copied, "diffusers"), DEVICE).channels == 4


def test_other_suffixes_are_not_opened(tmp_path):
    with pytest.raises(LoadFailed, match="may run code"):
        loading.from_single_file(record(tmp_path / "x.ckpt"), DEVICE, CONFIGS)


def test_a_file_without_all_weights(home, tmp_path):
    weights = load_file(home / "models" / "checkpoints" / "single.safetensors")
    without = {key: value for key, value in weights.items() if "middle_block" not in key}
    save_file(without, tmp_path / "x.safetensors")
    with pytest.raises(LoadFailed, match="incomplete"):
        loading.from_single_file(record(tmp_path / "x.safetensors"), DEVICE, CONFIGS)
    headless = {key: value for key, value in weights.items() if "cond_stage" not in key}
    save_file(headless, tmp_path / "y.safetensors")
    with pytest.raises(LoadFailed, match="no text encoder"):
        loading.from_single_file(record(tmp_path / "y.safetensors"), DEVICE, CONFIGS)


def test_without_a_vocabulary_it_says_where_one_goes(home, tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "clip_merges", lambda: None)
    folder = tmp_path / "models" / "checkpoints" / "mine"
    folder.mkdir(parents=True)
    shutil.copy(home / "models" / "checkpoints" / "single.safetensors", folder)
    with pytest.raises(LoadFailed, match=r"Put vocab\.json and merges\.txt .* into .*models/clip\."):
        loading.from_single_file(record(folder / "single.safetensors"), DEVICE, CONFIGS)


def test_merges_become_clips_vocabulary():
    """Bytes, bytes that end a word, merges, marks: the order in which CLIP's numbers were given."""
    merges = [("c", "a"), ("ca", "t</w>"), ("d", "o"), ("do", "g</w>")]
    tokenizer = loading._tokenizer_of(merges)
    letters = list(loading._byte_letters())
    assert len(letters) == len(set(letters)) == 256
    numbers = tokenizer("cat dog", add_special_tokens=False).input_ids
    assert numbers == [512 + 1, 512 + 3]
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (516, 517)
    assert tokenizer(",", add_special_tokens=False).input_ids == [256 + letters.index(",")]
    assert json.loads(json.dumps(tokenizer.get_vocab()))["a"] == letters.index("a")


def test_a_single_file_is_read_with_clips_own_numbers():
    """Of CLIP's published vocabulary; the program brings it, so that a checkpoint of one file works after set-up."""
    tokenizer = loading._tokenizer_of(clip_merges())
    assert len(tokenizer) == 49408
    assert tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]


def test_a_tiny_autoencoder_is_used_for_previews(config, home):
    from diffusers import AutoencoderTiny

    from webui.engine.diffusion import DiffusionEngine

    folder = home / "models" / "VAE-approx" / "taesd"
    AutoencoderTiny(
        encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4, num_encoder_blocks=(1,) * 4, num_decoder_blocks=(1,) * 4
    ).save_pretrained(folder)
    try:
        engine = DiffusionEngine(config)
        steps = [event for event in engine.run(a_request(), cancelled=never) if getattr(event, "preview", None)]
        assert Image.open(io.BytesIO(steps[0].preview)).size == (64, 64), "in pixels, not latents"
    finally:
        shutil.rmtree(folder.parent)
