"""LoRAs in the weights of real (tiny) networks: what they add, that they leave no trace, and what is refused before anything is touched."""

import gc
import json

import psutil
import pytest
import torch

from tests.engine import tiny
from tests.engine.loras import made
from webui.core.errors import Cancelled, LoadFailed, Unsupported
from webui.engine.loras.files import LoraFile, check_family
from webui.engine.loras.merging import Loras

QUERY = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
KEY = "up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
CONVOLUTION = "mid_block.resnets.0.conv1"
PROJECTION = "mid_block.attentions.0.proj_in"
MODULES = (QUERY, KEY, CONVOLUTION, PROJECTION, "conv_in")
WORDS = "encoder.layers.1.self_attn.q_proj"


class Rig:
    """Networks as a pipeline has them, and what their weights are to the bit."""

    def __init__(self, dtype=torch.bfloat16):
        unet, _, text_encoder = tiny.networks()
        self.unet = unet.to(dtype).to(memory_format=torch.channels_last).eval().requires_grad_(False)
        self.text_encoder = text_encoder.to(dtype).eval().requires_grad_(False)
        self.loras = Loras({"unet": self.unet, "text_encoder": self.text_encoder}, "Tiny")
        self.before = self.bits()

    def parameters(self):
        for component in ("unet", "text_encoder"):
            for name, parameter in getattr(self, component).named_parameters():
                yield f"{component}.{name}", parameter

    def bits(self):
        return {name: (value.detach().clone(), value.stride()) for name, value in self.parameters()}

    def changed(self, since=None):
        since = since or self.before
        return {name for name, value in self.parameters() if not torch.equal(value, since[name][0])}

    def assert_whole(self):
        assert self.changed() == set()
        assert all(value.stride() == self.before[name][1] for name, value in self.parameters())
        assert self.loras.bytes == 0

    def weight(self, module, component="unet"):
        return getattr(self, component).get_submodule(module).weight

    def original(self, module, component="unet"):
        return self.before[f"{component}.{module}.weight"][0].float()

    def apply(self, *files, cancelled=lambda: False):
        with self.loras.applied(files, cancelled):
            return self.bits()


@pytest.fixture
def rig():
    torch.set_num_threads(1)  # networks this small only wait for each other's threads
    return Rig()


@pytest.fixture
def files(rig, tmp_path):
    """LoRAs of several formats for the same modules, one of them for the text encoder too."""

    def file(name, make, modules=MODULES, words=False):
        path = made.kohya(tmp_path / f"{name}.safetensors", {module: rig.original(module) for module in modules}, make=make)
        if words:
            from safetensors.torch import load_file

            parts = make(rig.original(WORDS, "text_encoder")).parts
            more = {made.flat("lora_te_text_model_", WORDS) + end: part for end, part in parts.items()}
            made.write(path, load_file(path) | more)
        return LoraFile(name, path)

    return {
        "lora": file("lora", made.lora, words=True),
        "full": file("full", made.full),
        "oft": file("oft", made.oft, (QUERY, KEY)),
        "dora": file("dora", made.dora_rows, (QUERY, CONVOLUTION)),
        "words": file("words", made.without_alpha, (), words=True),
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_every_weight_is_the_checkpoints_and_the_formulas(files, dtype):
    rig = Rig(dtype)
    file = files["lora"]._replace(unet=0.7, text_encoder=-1.5)
    rig.apply(file)
    assert rig.changed() == {*(f"unet.{module}.weight" for module in MODULES), f"text_encoder.{WORDS}.weight"}
    bf16 = Rig()  # the files are made from its rounded weights
    for module in MODULES:
        wanted = rig.original(module) + 0.7 * made.lora(bf16.original(module)).delta
        assert torch.allclose(rig.weight(module).float(), wanted, rtol=torch.finfo(dtype).eps, atol=1e-6)
    wanted = rig.original(WORDS, "text_encoder") - 1.5 * made.lora(bf16.original(WORDS, "text_encoder")).delta
    assert torch.allclose(rig.weight(WORDS, "text_encoder").float(), wanted, rtol=torch.finfo(dtype).eps, atol=1e-6)


def test_it_is_summed_in_fp32_and_rounded_once(rig, files):
    rig.apply(files["lora"], files["full"]._replace(unet=0.5))
    original = rig.original(QUERY)
    wanted = original + (made.full(original).delta * 0.5 + made.lora(original).delta)
    assert (rig.weight(QUERY).float() - wanted.to(torch.bfloat16).float()).abs().max() <= 2**-8 * wanted.abs().max()
    assert torch.mean((rig.weight(QUERY) == wanted.to(torch.bfloat16)).float()) > 0.99


def test_they_leave_no_trace(rig, files):
    inside = rig.apply(*files.values())
    assert rig.changed()
    assert all(inside[name][1] == stride for name, (_, stride) in rig.before.items()), "the layout in memory stays"
    assert rig.weight(CONVOLUTION).is_contiguous(memory_format=torch.channels_last)
    rig.apply()
    rig.assert_whole()
    rig.apply(*files.values())
    assert rig.changed(inside) == set(), "and come back to the bit"
    rig.loras.restore()
    rig.assert_whole()


def test_the_same_set_again_does_no_work(rig, files, monkeypatch):
    rig.apply(files["lora"], files["dora"])
    versions = {name: value._version for name, value in rig.parameters()}
    monkeypatch.setattr("webui.engine.loras.merging.read", None)  # no file is opened either
    rig.apply(files["lora"], files["dora"])
    rig.apply(files["dora"], files["lora"])
    rig.apply(files["dora"], files["lora"], files["oft"]._replace(unet=0.0, text_encoder=0.0))
    assert {name: value._version for name, value in rig.parameters()} == versions


def test_what_was_merged_before_does_not_matter(rig, files):
    alone = rig.apply(files["dora"])
    rig.apply(*files.values())
    rig.apply(files["lora"]._replace(unet=2.0))
    rig.apply(files["dora"])
    assert rig.changed(alone) == set()
    assert rig.changed() == {f"unet.{module}.weight" for module in (QUERY, CONVOLUTION)}


def test_the_order_does_not_matter(rig, files):
    one = rig.apply(*files.values())
    rig.apply()
    other = rig.apply(*reversed(files.values()))
    assert all(torch.equal(one[name][0], other[name][0]) for name in one)


def test_the_same_one_twice_counts_twice(rig, files):
    twice = rig.apply(files["lora"], files["lora"])
    once = rig.apply(files["lora"]._replace(unet=2.0, text_encoder=2.0))
    assert all(torch.equal(once[name][0], twice[name][0]) for name in once)


def test_the_weights_for_the_networks_stand_apart(rig, files):
    rig.apply(files["lora"]._replace(text_encoder=0.0))
    assert {name.partition(".")[0] for name in rig.changed()} == {"unet"}
    assert rig.loras.state("text_encoder") == ()
    rig.apply(files["lora"]._replace(unet=0.0))
    assert {name.partition(".")[0] for name in rig.changed()} == {"text_encoder"}
    assert rig.loras.state("text_encoder")


def test_only_touched_weights_are_kept_and_no_longer_than_needed(rig, files):
    rig.apply(files["words"])
    assert rig.loras.bytes == rig.weight(WORDS, "text_encoder").numel() * 2
    rig.apply(files["oft"])
    assert rig.loras.bytes == sum(rig.weight(module).numel() * 2 for module in (QUERY, KEY))


def test_biases_and_norms(rig, tmp_path):
    tensors = {
        "lora_unet_mid_block_resnets_0_norm1.w_norm": made.noise(64),
        "lora_unet_mid_block_resnets_0_norm1.b_norm": made.noise(64),
        "lora_unet_conv_in.diff_b": made.noise(32),
    }
    rig.apply(LoraFile("norms", made.write(tmp_path / "norms.safetensors", tensors)))
    assert rig.changed() == {"unet.mid_block.resnets.0.norm1.weight", "unet.mid_block.resnets.0.norm1.bias", "unet.conv_in.bias"}
    wanted = rig.before["unet.conv_in.bias"][0].float() + tensors["lora_unet_conv_in.diff_b"]
    assert torch.equal(rig.unet.conv_in.bias, wanted.to(torch.bfloat16))


def layouts():
    """The same LoRA for QUERY and WORDS in each way of naming it: (keys, metadata)."""
    unet, words = f"unet.{QUERY}", f"text_encoder.text_model.{WORDS}"
    processor = unet.replace("attn1.to_q", "attn1.processor.to_q_lora")
    peft = {
        "unet.lora_alpha": 2,
        "unet.r": 4,
        "text_encoder.lora_alpha": 16,
        "text_encoder.alpha_pattern": {"layers.1.self_attn.q_proj": 2},
    }
    original = "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q"
    return {
        "kohya": (
            (made.flat("lora_unet_", QUERY), made.flat("lora_te_text_model_", WORDS), ".lora_{}.weight", ("down", "up"), ".alpha"),
            {},
        ),
        "peft": ((unet, words, ".lora_{}.weight", ("A", "B"), None), {"lora_adapter_metadata": json.dumps(peft)}),
        "peft with alphas": ((unet, words, ".lora_{}.weight", ("A", "B"), ".alpha"), {}),
        "diffusers": ((unet, words, ".lora.{}.weight", ("down", "up"), ".alpha"), {}),
        "linear layers": ((unet, words, ".lora_linear_layer.{}.weight", ("down", "up"), ".alpha"), {}),
        "processors": ((processor, words.replace("q_proj", "to_q_lora"), ".{}.weight", ("down", "up"), ".alpha"), {}),
        "original names": ((original, made.flat("lora_te_", WORDS), ".lora_{}.weight", ("down", "up"), ".alpha"), {}),
    }


@pytest.mark.parametrize("layout", layouts())
def test_every_layout_says_the_same(rig, tmp_path, layout):
    (unet, words, ending, (down, up), alpha), metadata = layouts()[layout]
    tensors = {}
    for name, weight in ((unet, rig.original(QUERY)), (words, rig.original(WORDS, "text_encoder"))):
        parts = made.lora(weight).parts
        tensors |= {name + ending.format(down): parts[".lora_down.weight"], name + ending.format(up): parts[".lora_up.weight"]}
        if alpha:
            tensors[name + alpha] = parts[".alpha"]
    rig.apply(LoraFile("x", made.write(tmp_path / "x.safetensors", tensors, metadata)))
    assert rig.loras.notes == ()
    for module, component in ((QUERY, "unet"), (WORDS, "text_encoder")):
        original = rig.original(module, component)
        assert torch.equal(rig.weight(module, component), (original + made.lora(original).delta).to(torch.bfloat16))


# --- what goes wrong ---


def test_a_cancel_in_the_middle_leaves_weights_whole(rig, files):
    asked = []
    with pytest.raises(Cancelled):
        rig.apply(*files.values(), cancelled=lambda: len(asked) > 3 or asked.append(1))
    rig.assert_whole()
    rig.apply(files["lora"])
    asked.clear()
    with pytest.raises(Cancelled):
        rig.apply(*files.values(), cancelled=lambda: len(asked) > 3 or asked.append(1))
    rig.assert_whole()
    assert rig.loras.holds(())
    rig.apply(files["lora"])
    assert rig.changed()


def test_a_failure_in_the_middle_leaves_weights_whole(rig, files, tmp_path):
    weight = rig.original("down_blocks.1.resnets.0.conv1")  # 64 × 32: its scale is for the other side than it says
    name = "lora_unet_down_blocks_1_resnets_0_conv1"
    bad = {f"{name}.weight": made.noise(32), f"{name}.on_input": torch.tensor(False)}
    assert weight.shape[:2] == (64, 32)
    file = LoraFile("bad", made.write(tmp_path / "bad.safetensors", bad))
    with pytest.raises(LoadFailed, match="“bad” could not be merged into down_blocks.1.resnets.0.conv1"):
        rig.apply(files["lora"], files["full"], file)
    rig.assert_whole()


def test_a_failure_inside_is_not_held_against_the_weights(rig, files):
    with pytest.raises(ZeroDivisionError), rig.loras.applied((files["lora"],)):
        raise ZeroDivisionError
    assert rig.loras.holds((files["lora"],))
    rig.loras.restore()
    rig.assert_whole()


def test_another_familys_is_refused_before_anything_is_touched(rig, files, tmp_path):
    rig.apply(files["words"])
    before = rig.bits()
    wide = {made.flat("lora_unet_", KEY): torch.zeros(32, 2048), made.flat("lora_unet_", QUERY): rig.original(QUERY)}
    tensors = {name + end: part for name, weight in wide.items() for end, part in made.lora(weight).parts.items()}
    file = LoraFile("xl", made.write(tmp_path / "xl.safetensors", tensors))
    with pytest.raises(Unsupported, match=r"“xl” does not fit “Tiny”: its .* is no 32 × 32\. It was made for SDXL\."):
        rig.apply(files["lora"], file)
    assert rig.changed(before) == set()
    assert rig.loras.holds((files["words"],))


def test_a_file_that_is_nothing_of_the_kind_says_so(rig, tmp_path):
    file = LoraFile("dream", made.write(tmp_path / "dream.safetensors", {"model.diffusion_model.foo": torch.zeros(2)}))
    with pytest.raises(Unsupported, match=r"None of its 1 tensors is known here \(the first is called model.diffusion_model.foo\)"):
        rig.apply(file)
    (tmp_path / "broken.safetensors").write_bytes(b"not at all")
    with pytest.raises(LoadFailed, match=r"broken\.safetensors"):
        rig.apply(LoraFile("broken", tmp_path / "broken.safetensors"))
    rig.assert_whole()


def test_what_is_for_nothing_here_is_counted_and_told(rig, files, tmp_path):
    from safetensors.torch import load_file

    strange = {"lora_unet_down_blocks_7_to_q.lora_up.weight": torch.zeros(2, 2), "lora_unet_conv_in.b1.weight": torch.zeros(2)}
    inpainting = {f"lora_unet_conv_out{end}": part for end, part in made.lora(made.noise(9, 32, 3, 3)).parts.items()}
    path = made.write(tmp_path / "more.safetensors", load_file(files["lora"].path) | strange | inpainting)
    rig.apply(LoraFile("more", path))
    (note,) = rig.loras.notes
    assert "more: 5 of 23 tensors are for nothing here, such as lora_unet_" in note
    assert f"unet.{QUERY}.weight" in rig.changed()
    assert "unet.conv_out.weight" not in rig.changed()


@pytest.mark.parametrize(
    ("key", "shape", "family", "refused"),
    [
        ("lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight", (4, 768), "sd15", None),
        ("lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight", (4, 1024), "sd15", "Stable Diffusion 2"),
        ("unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight", (4, 2048), "sd15", "SDXL"),
        ("lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", (4, 1280), "sd15", "SDXL"),
        ("lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight", (4, 3072), "sd15", "FLUX"),
        ("lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight", (4, 3072), "an extension's", None),
        ("lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", (4, 768), "sd15", None),
    ],
)
def test_the_family_is_told_from_the_header(tmp_path, key, shape, family, refused):
    path = made.write(tmp_path / "x.safetensors", {key: torch.zeros(shape)})
    if refused is None:
        check_family("x", path, family, "Mine")
    else:
        with pytest.raises(Unsupported, match=f"“x” was made for {refused}, and “Mine” is Stable Diffusion 1"):
            check_family("x", path, family, "Mine")


def test_two_hundred_changes_leave_memory_flat(rig, files):
    """Real files through the real way, with every format; the level is that after the fifth round."""
    sets = [(files["lora"],), (), (files["full"], files["oft"]), (files["dora"]._replace(unet=0.3),), tuple(files.values())]
    process = psutil.Process()
    level = 0
    for number in range(200):
        with rig.loras.applied(sets[number % len(sets)]):
            pass
        if number == 24:
            gc.collect()
            level = process.memory_info().rss
    gc.collect()
    assert process.memory_info().rss < level * 1.03
    rig.apply()
    rig.assert_whole()
