"""Checkpoints: model and training state as safetensors and JSON, never a pickle, written whole or not at all.

A checkpoint is a folder. `model.safetensors` has parameters and tables by name, shared ones once.
`training.safetensors`, if training can continue from the checkpoint, has the carried state and the random generators.
`checkpoint.json` has the format, the sha256 of the other files and of itself, and the metadata. The checkpoint before
stays beside it as `NAME.previous`, and is read if this one is damaged.

Format 1, of the first release, has no hashes and no previous checkpoint. It will always be readable (tests/golden).
"""

import hashlib
import logging
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from memlm import files, jsontext
from memlm.errors import MemlmError
from memlm.models.base import StoredModel

FORMAT = 2
READABLE = (1, 2)
META, MODEL, TRAINING = "checkpoint.json", "model.safetensors", "training.safetensors"
UNHASHED = "0" * 64  # in the place of checkpoint.json's own sha256 while that is computed

logger = logging.getLogger(__name__)


class DamagedError(MemlmError):
    """A checkpoint is truncated, changed or missing. The previous checkpoint may be whole."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The contents of a checkpoint's folder: `meta` from checkpoint.json, and the tensors by name."""

    folder: Path
    meta: dict[str, Any]
    model: dict[str, Tensor]
    training: dict[str, Tensor]

    @property
    def step(self) -> int:
        """The training step at which it was saved."""
        return _step(self.folder, self.meta)


def save(
    folder: Path, model: StoredModel, meta: Mapping[str, Any], *, training: Mapping[str, Tensor] | None = None
) -> None:
    """Write a checkpoint beside `folder`, then move it there. The checkpoint that was there becomes the previous one.

    At any time one of the two is whole. Raises MemlmError if the files cannot be written.
    """
    new = folder.with_name(folder.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    tensors = {MODEL: {name: p.detach().contiguous() for name, p in model.tensors().items()}}
    if training is not None:
        tensors[TRAINING] = dict(training)
    try:
        new.mkdir(parents=True)
        sha256 = {}
        for name, part in tensors.items():
            data = safetensors.torch.save(part)
            sha256[name] = hashlib.sha256(data).hexdigest()
            files.write_synced(new / name, data)
        files.write_synced(new / META, _sealed({"format": FORMAT, "files": sha256} | dict(meta)))
        files.sync(new)
        _replace(folder, new)
    except OSError as error:
        shutil.rmtree(new, ignore_errors=True)
        why = files.reason(error)
        raise MemlmError(f"cannot save the checkpoint {folder}: {why}; the one saved before is unchanged") from None


def exists(folder: Path) -> bool:
    """Whether there is a checkpoint, whole or not, or a previous one."""
    return folder.exists() or previous(folder).exists()


def previous(folder: Path) -> Path:
    """The folder of the checkpoint before this one."""
    return folder.with_name(folder.name + ".previous")


def read(folder: Path) -> Checkpoint:
    """Read the checkpoint. If it is damaged, log a warning and read the previous one instead.

    Raises DamagedError if neither is whole, and MemlmError if the format is unknown.
    """
    try:
        return read_this(folder)
    except DamagedError as damage:
        try:
            state = read_this(previous(folder))
        except DamagedError:
            raise damage from None
        logger.warning("%s; the previous checkpoint, %s, is whole and is used instead", damage, state.folder)
        return state


def read_this(folder: Path) -> Checkpoint:
    """Read the checkpoint in exactly this folder, and check the hashes of its files.

    Raises DamagedError if it is not whole, and MemlmError if the format is unknown.
    """
    meta = _meta(folder)
    sha256 = meta.get("files", {MODEL: None} | ({TRAINING: None} if (folder / TRAINING).exists() else {}))
    parts = {name: _tensors(folder / name, sha256[name]) for name in (MODEL, TRAINING) if name in sha256}
    return Checkpoint(folder=folder, meta=meta, model=parts.get(MODEL, {}), training=parts.get(TRAINING, {}))


def step_of(folder: Path) -> int:
    """The training step at which a checkpoint was saved, without reading its tensors."""
    return _step(folder, _meta(folder if folder.exists() else previous(folder)))


def fill(model: StoredModel, state: Checkpoint) -> None:
    """Copy the checkpoint's tensors into the model's parameters and tables.

    Raises MemlmError, and changes no parameter, if a name, shape or type differs.
    """
    path, parameters = state.folder / MODEL, model.tensors()
    if state.model.keys() != parameters.keys():
        odd = sorted(state.model.keys() ^ parameters.keys())[0]
        problem = f"it lacks {odd!r}" if odd in parameters else f"this model has no {odd!r}"
        raise MemlmError(f"{path} belongs to another model: {problem}; has config.toml been changed?")
    model.make_room({name: tensor.shape for name, tensor in state.model.items()})
    for name, parameter in parameters.items():
        if difference := _difference(state.model[name], parameter):
            raise MemlmError(
                f"{path} belongs to another model: {name!r} is {difference}; has config.toml been changed?"
            )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(state.model[name])


def _difference(found: Tensor, wanted: Tensor) -> str:
    """How a tensor differs in shape or type, or "". Copying to another type would silently lose precision."""
    if found.shape != wanted.shape:
        return f"{tuple(found.shape)}, not {tuple(wanted.shape)}"
    return "" if found.dtype == wanted.dtype else f"{found.dtype}, not {wanted.dtype}".replace("torch.", "")


def set_aside(folder: Path, state: Checkpoint) -> None:
    """If `read` used the previous checkpoint, move the damaged one to NAME.damaged.

    Otherwise the next `save` would replace the whole previous checkpoint by the damaged one.
    """
    if state.folder == folder or not folder.exists():
        return
    away = folder.with_name(folder.name + ".damaged")
    shutil.rmtree(away, ignore_errors=True)
    try:
        folder.rename(away)
    except OSError as error:
        raise MemlmError(f"cannot move the damaged {folder} away: {files.reason(error)}") from None


def restore_previous(folder: Path) -> None:
    """Replace this checkpoint by the previous one."""
    try:
        shutil.rmtree(folder)
        previous(folder).rename(folder)
        files.sync(folder.parent)
    except OSError as error:
        raise MemlmError(f"cannot move {previous(folder)} to {folder}: {files.reason(error)}") from None


def _meta(folder: Path) -> dict[str, Any]:
    path = folder / META
    data = _bytes(path)
    try:
        meta = jsontext.loads(data)
    except ValueError:
        raise DamagedError(f"{path} is damaged: it is not JSON") from None
    if not isinstance(meta, dict) or "format" not in meta:
        raise DamagedError(f"{path} is damaged: it has no format")
    if ("sha256" in meta or meta["format"] == FORMAT) and not _is_sealed(data):
        raise DamagedError(f"{path} is damaged: its contents do not match its sha256")
    if meta["format"] not in READABLE:
        known = " or ".join(map(str, READABLE))
        raise MemlmError(f"{path} has format {meta['format']}, not {known}: use the memlm that wrote it")
    return meta


def _step(folder: Path, meta: Mapping[str, Any]) -> int:
    try:
        return int(meta["step"])
    except (KeyError, TypeError, ValueError, OverflowError):
        raise DamagedError(f"{folder} is damaged: it has no step") from None


def _tensors(path: Path, sha256: str | None) -> dict[str, Tensor]:
    data = _bytes(path)
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise DamagedError(f"{path} is damaged: its contents do not match its sha256")
    try:
        return safetensors.torch.load(data)
    except (SafetensorError, ValueError, KeyError, RuntimeError):  # only without a hash
        raise DamagedError(f"{path} is damaged: it is not a safetensors file") from None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DamagedError(f"{path} is missing") from None
    except OSError as error:
        raise MemlmError(f"cannot read {path}: {files.reason(error)}") from None


def _sealed(meta: Mapping[str, Any]) -> bytes:
    """The JSON with its own sha256. That is the hash of the text with zeros in place of the hash."""
    text = jsontext.dumps({"sha256": UNHASHED} | dict(meta), indent=1) + "\n"
    return text.replace(UNHASHED, hashlib.sha256(text.encode()).hexdigest(), 1).encode()


def _is_sealed(data: bytes) -> bool:
    stated = re.match(rb'\{\n "sha256": "([0-9a-f]{64})"', data)
    if stated is None:
        return False
    unhashed = data.replace(stated[1], UNHASHED.encode(), 1)
    return hashlib.sha256(unhashed).hexdigest().encode() == stated[1]


def _replace(folder: Path, new: Path) -> None:
    if folder.exists():
        shutil.rmtree(previous(folder), ignore_errors=True)
        folder.rename(previous(folder))
    new.rename(folder)
    files.sync(folder.parent)
