from pathlib import Path

import pytest

from webui.setup import hardware
from webui.setup.hardware import Gpu, Machine, choose_build, look
from webui.setup.home import Stop

RTX = Gpu("NVIDIA GeForce RTX 4090", 580.65, 8.9)
LINUX = Machine("Linux", "x86_64")


@pytest.mark.parametrize(
    ("asked", "machine", "name", "folder"),
    [
        ("auto", LINUX, "cpu", "cpu"),
        ("auto", LINUX._replace(nvidia=RTX), "cuda", "cu130"),
        ("auto", Machine("Windows", "amd64", RTX), "cuda", "cu130"),
        ("auto", LINUX._replace(nvidia=RTX._replace(driver=550.54)), "cuda", "cu126"),  # CUDA 13 needs driver 580
        ("auto", LINUX._replace(nvidia=RTX._replace(capability=6.1)), "cuda", "cu126"),  # Pascal: dropped by CUDA 13
        ("auto", LINUX._replace(nvidia=RTX._replace(capability=None)), "cuda", "cu130"),
        ("auto", LINUX._replace(nvidia=RTX._replace(driver=470.2)), "cpu", "cpu"),
        ("auto", LINUX._replace(nvidia=RTX._replace(capability=3.5)), "cpu", "cpu"),  # Kepler
        ("auto", LINUX._replace(rocm=True), "rocm", "rocm7.2"),
        ("auto", LINUX._replace(nvidia=RTX, rocm=True), "cuda", "cu130"),
        ("auto", Machine("Windows", "amd64", None, True), "cpu", "cpu"),
        ("auto", Machine("Darwin", "arm64"), "cpu", None),
        ("cpu", LINUX._replace(nvidia=RTX), "cpu", "cpu"),
        ("cuda", LINUX, "cuda", "cu130"),
        ("cuda", LINUX._replace(nvidia=RTX._replace(driver=550)), "cuda", "cu126"),
        ("rocm", LINUX, "rocm", "rocm7.2"),
        ("rocm", LINUX._replace(nvidia=RTX), "rocm", "rocm7.2"),
    ],
)
def test_the_build_follows_the_hardware(asked: str, machine: Machine, name: str, folder: str | None) -> None:
    build = choose_build(asked, machine)
    assert (build.name, build.folder) == (name, folder)
    assert build.label.startswith("PyTorch") and build.why


@pytest.mark.parametrize(
    ("asked", "machine", "says"),
    [
        ("auto", LINUX._replace(nvidia=RTX), "NVIDIA GeForce RTX 4090 found, with driver 580.65"),
        ("auto", LINUX._replace(nvidia=RTX._replace(driver=470.2)), "too old for PyTorch"),
        ("auto", LINUX, "no NVIDIA, AMD or Apple GPU found"),
        ("cpu", LINUX._replace(nvidia=RTX), "--torch asks for it"),
        ("rocm", LINUX, "--torch asks for it"),
        ("auto", LINUX._replace(rocm=True), "AMD GPU"),
    ],
)
def test_the_choice_says_why(asked: str, machine: Machine, says: str) -> None:
    assert says in choose_build(asked, machine).why


@pytest.mark.parametrize(
    ("asked", "machine", "says"),
    [
        ("auto", Machine("Darwin", "x86_64"), "Intel Macs"),
        ("cuda", Machine("Darwin", "arm64"), "no cuda build of PyTorch for Darwin"),
        ("rocm", Machine("Windows", "amd64"), "no rocm build of PyTorch for Windows"),
    ],
)
def test_what_does_not_exist_is_said(asked: str, machine: Machine, says: str) -> None:
    with pytest.raises(Stop, match=says):
        choose_build(asked, machine)


def test_a_32_bit_python_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.maxsize", 2**31 - 1)
    with pytest.raises(Stop, match="32-bit"):
        choose_build("auto", LINUX)


def found(monkeypatch: pytest.MonkeyPatch, root: Path, files: dict[str, str], smi: str = "") -> Machine:
    monkeypatch.setattr(hardware, "_ask", lambda *_: smi)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return look(root)


def test_nvidia_smi_names_the_gpu_and_the_oldest_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    smi = "NVIDIA GeForce RTX 4090, 580.65.06, 8.9\nTesla P40, 580.65.06, 6.1\n"
    assert found(monkeypatch, tmp_path, {}, smi).nvidia == Gpu("NVIDIA GeForce RTX 4090", 580.65, 6.1)


def test_a_driver_without_nvidia_smi_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for text in (
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22\n",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.14  Release Build\n",
    ):
        assert found(monkeypatch, tmp_path, {"proc/driver/nvidia/version": text}).nvidia == Gpu("NVIDIA GPU", 550.54, None)


@pytest.mark.parametrize("smi", ["", "NVIDIA-SMI has failed because it couldn't find a driver.\n", "No devices were found\n"])
def test_nvidia_smi_without_a_gpu_is_no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, smi: str) -> None:
    assert found(monkeypatch, tmp_path, {}, smi).nvidia is None


def test_rocm_needs_its_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    node = "sys/class/kfd/kfd/topology/nodes/1/gpu_id"
    assert not found(monkeypatch, tmp_path, {node: "12345\n"}).rocm
    assert found(monkeypatch, tmp_path, {"dev/kfd": ""}).rocm
    assert not found(monkeypatch, tmp_path, {node: "0\n"}).rocm  # a processor without a GPU
    assert found(monkeypatch, tmp_path, {"opt/rocm/bin/rocminfo": ""}).rocm


def test_a_missing_failing_or_hanging_program_says_nothing() -> None:
    assert hardware._ask("no-such-program-here") == ""
    assert hardware._ask("false") == ""
