import pytest
import torch

from webui.core.errors import SetupError
from webui.engine import device, memory
from webui.engine.device import choose, shortest


def test_the_cpu_is_always_there_and_named():
    chosen = choose("cpu")
    assert chosen.name == "cpu"
    assert chosen.dtype in (torch.bfloat16, torch.float32)
    assert chosen.label.endswith(chosen.precision)
    assert len(chosen.hardware) > 1


def test_what_was_measured_is_taken_over(monkeypatch):
    monkeypatch.setattr(device, "_bf16_pays", lambda: pytest.fail("measured again"))
    chosen = choose("cpu", ("cpu", "bf16", "tiled"))
    assert (chosen.dtype, chosen.tiled) == (torch.bfloat16, True)
    assert chosen.probed == ("cpu", "bf16", "tiled")


def test_another_devices_measure_is_not(monkeypatch):
    monkeypatch.setattr(device, "_bf16_pays", lambda: False)
    assert choose("cpu", ("cuda:0", "bf16", "tiled")).dtype == torch.float32


def test_slow_bf16_is_not_used(monkeypatch):
    monkeypatch.setattr(device, "shortest", lambda work: 2.0 if work().dtype == torch.bfloat16 else 1.0)
    assert choose("cpu").dtype == torch.float32
    monkeypatch.setattr(device, "shortest", lambda work: 0.5 if work().dtype == torch.bfloat16 else 1.0)
    assert choose("cpu").dtype == torch.bfloat16


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("asked", ["cuda", "cuda:1", "rocm"])
def test_a_gpu_that_is_not_there_says_what_to_do(asked):
    with pytest.raises(SetupError, match="Start with --device cpu"):
        choose(asked)


def test_auto_finds_something():
    assert choose("auto", ("cpu", "fp32", "sdpa")).name in ("cpu", "mps", "cuda:0")


def test_timing_leaves_the_threads_as_they_were():
    threads = torch.get_num_threads()
    assert shortest(lambda: torch.ones(10).sum()) >= 0
    assert torch.get_num_threads() == threads


def test_memory_is_counted_within_the_container(tmp_path, monkeypatch):
    machine = memory.total()
    assert 0 < memory.used() < machine
    assert memory.budget(None) < machine
    assert memory.budget(5) == 5
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "CGROUP_LIMITS", (limit,))
    limit.write_text("1000000\n")
    assert memory.total() == 1_000_000
    limit.write_text("max\n")
    assert memory.total() >= machine
    assert memory.gb(2.13e9) == "2.1 GB"
