"""Model and training state on disk: safetensors and JSON, never a pickle; whole or not at all.

A checkpoint is a folder: `model.safetensors` (parameters and tables by name, those that are shared once),
`checkpoint.json` (format, what it is), and, where training goes on from it, `training.safetensors` (carried state,
generators).
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from memlm import jsontext
from memlm.errors import MemlmError
from memlm.models import LanguageModel

FORMAT = 1


def save(
    folder: Path, model: LanguageModel, meta: Mapping[str, Any], *, training: Mapping[str, Tensor] | None = None
) -> None:
    """Write a checkpoint beside `folder`, then put it in its place; the previous one stays until then."""
    new = folder.with_name(folder.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    try:
        new.mkdir(parents=True)
        save_file({name: p.detach().contiguous() for name, p in model.tensors().items()}, new / "model.safetensors")
        if training is not None:
            save_file(dict(training), new / "training.safetensors")
        (new / "checkpoint.json").write_text(jsontext.dumps({"format": FORMAT} | dict(meta), indent=1) + "\n")
        for file in new.iterdir():
            _sync(file)
        _sync(new)
        _replace(folder, new)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(new, ignore_errors=True)
        reason = getattr(error, "strerror", None) or error
        raise MemlmError(f"cannot save the checkpoint {folder}: {reason}") from None


def load_meta(folder: Path) -> dict[str, Any]:
    """The checkpoint's JSON."""
    path = locate(folder) / "checkpoint.json"
    meta = jsontext.read(path)
    if not isinstance(meta, dict) or "format" not in meta:
        raise MemlmError(f"{path} is damaged: it does not say its format")
    if meta["format"] != FORMAT:
        raise MemlmError(f"{path} has format {meta['format']}, not {FORMAT}: use the memlm that wrote it")
    return meta


def step_of(folder: Path) -> int:
    """The step of training at which a checkpoint was made."""
    meta = load_meta(folder)
    try:
        return int(meta["step"])
    except (KeyError, TypeError, ValueError, OverflowError):
        raise MemlmError(f"{folder} is damaged: it does not say its step") from None


def load_parameters(folder: Path, model: LanguageModel) -> None:
    """Fill the model's parameters and tables; names and shapes must be the model's own."""
    path = locate(folder) / "model.safetensors"
    tensors = load_tensors(path)
    parameters = model.tensors()
    if tensors.keys() != parameters.keys():
        odd = sorted(tensors.keys() ^ parameters.keys())[0]
        where = "lacks" if odd in parameters else "has a surplus"
        raise MemlmError(f"{path} is of another model: it {where} {odd!r}; config.toml must be the run's own")
    model.make_room({name: tensor.shape for name, tensor in tensors.items()})
    for name, parameter in parameters.items():
        if (found := _kind(tensors[name])) != _kind(parameter):
            kinds = f"{found}, not {_kind(parameter)}"
            raise MemlmError(f"{path} is of another model: {name!r} is {kinds}; config.toml must be the run's own")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[name])


def _kind(tensor: Tensor) -> str:
    """(4, 4), and its type if that is not float32."""
    dtype = "" if tensor.dtype == torch.float32 else f" of {tensor.dtype}".replace("torch.", "")
    return f"{tuple(tensor.shape)}{dtype}"


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name of a safetensors file."""
    try:
        return load_file(path)
    except FileNotFoundError:
        raise MemlmError(f"no file at {path}") from None
    except (SafetensorError, OSError) as error:
        raise MemlmError(f"{path} is damaged or can't be read: {error}") from None


def load_training(folder: Path) -> dict[str, Tensor]:
    """Carried state and generators, for going on."""
    return load_tensors(locate(folder) / "training.safetensors")


def locate(folder: Path) -> Path:
    """The checkpoint's folder, or the one before it if a crash fell between the two renames of `_replace`."""
    old = _previous(folder)
    return old if not folder.exists() and old.exists() else folder


def _previous(folder: Path) -> Path:
    return folder.with_name(folder.name + ".previous")


def _replace(folder: Path, new: Path) -> None:
    old = _previous(folder)
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    new.rename(folder)
    _sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
