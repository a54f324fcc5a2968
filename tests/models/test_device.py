"""The device and the precision that the settings choose."""

import pytest
import torch

from memlm.errors import MemlmError
from memlm.models.device import choose_device, choose_precision, is_emulated

CPU = torch.device("cpu")


@pytest.mark.parametrize(("available", "automatic"), [(False, "cpu"), (True, "cuda")])
def test_auto_is_cuda_where_there_is_one(available: bool, automatic: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert choose_device("auto").type == automatic
    assert choose_device("cpu").type == "cpu"


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MemlmError, match="device is 'cuda', but PyTorch sees no CUDA device here: use --device cpu"):
        choose_device("cuda")
    with pytest.raises(MemlmError, match="unknown device 'gpu': did you mean 'cpu'"):
        choose_device("gpu")


@pytest.mark.parametrize("faster", [False, True])
def test_the_precision_is_the_one_asked_for_and_auto_the_fastest(faster: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: faster, raising=False)
    assert choose_precision("float32", CPU) == torch.float32
    assert choose_precision("bfloat16", CPU) == torch.bfloat16
    assert choose_precision("auto", CPU) == (torch.bfloat16 if faster else torch.float32)


@pytest.mark.parametrize("avx512", [False, True])
@pytest.mark.parametrize("amx", [False, True])
def test_bfloat16_is_emulated_where_the_cpu_has_no_instruction_for_it(
    avx512: bool, amx: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    assert is_emulated(torch.bfloat16, CPU) == (not avx512 and not amx)
    assert not is_emulated(torch.float32, CPU)
    assert not is_emulated(torch.bfloat16, torch.device("cuda"))
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert not is_emulated(torch.bfloat16, CPU)
