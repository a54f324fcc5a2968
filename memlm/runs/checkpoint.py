"""Model and training state on disk: safetensors and JSON, never a pickle; whole or not at all.

A checkpoint is a folder: `model.safetensors` (parameters and tables by name, those that are shared once),
`training.safetensors` where training goes on from it (carried state, generators), and `checkpoint.json`: format,
sha256 of the other files and of itself, what it is. The one before it stays beside it, as `NAME.previous`, to be read
where this is damaged.

Format 1, of the first release, had no hashes and kept no previous one; it is read for ever (tests/golden).
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
UNHASHED = "0" * 64  # stands in checkpoint.json for its own sha256 while that is computed

logger = logging.getLogger(__name__)


class DamagedError(MemlmError):
    """A checkpoint is cut off, changed or missing; the one before it may serve."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a checkpoint's folder holds: `meta` of checkpoint.json, tensors by name."""

    folder: Path
    meta: dict[str, Any]
    model: dict[str, Tensor]
    training: dict[str, Tensor]

    @property
    def step(self) -> int:
        """The step of training at which it was made."""
        return _step(self.folder, self.meta)


def save(
    folder: Path, model: StoredModel, meta: Mapping[str, Any], *, training: Mapping[str, Tensor] | None = None
) -> None:
    """Write a checkpoint beside `folder`, then put it in its place; the one there becomes the previous one.

    Raises MemlmError where that fails: at every instant one of them is there and whole.
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
        raise MemlmError(f"cannot save the checkpoint {folder}: {why}; what was saved before is as it was") from None


def exists(folder: Path) -> bool:
    """Whether there is a checkpoint, whole or not, or one before it."""
    return folder.exists() or previous(folder).exists()


def previous(folder: Path) -> Path:
    """Where the checkpoint before this one lies."""
    return folder.with_name(folder.name + ".previous")


def read(folder: Path) -> Checkpoint:
    """The checkpoint, or, where it is damaged, the one before it: that is logged as a warning.

    Raises MemlmError if neither is whole, or the format is not known.
    """
    try:
        return read_this(folder)
    except DamagedError as damage:
        try:
            state = read_this(previous(folder))
        except DamagedError:
            raise damage from None
        logger.warning("%s; %s, the one before it, is whole and is used instead", damage, state.folder)
        return state


def read_this(folder: Path) -> Checkpoint:
    """The checkpoint in this very folder, every byte checked against its hash. Raises DamagedError."""
    meta = _meta(folder)
    sha256 = meta.get("files", {MODEL: None} | ({TRAINING: None} if (folder / TRAINING).exists() else {}))
    parts = {name: _tensors(folder / name, sha256[name]) for name in (MODEL, TRAINING) if name in sha256}
    return Checkpoint(folder=folder, meta=meta, model=parts.get(MODEL, {}), training=parts.get(TRAINING, {}))


def step_of(folder: Path) -> int:
    """The step of training at which a checkpoint was made; its tensors are not read."""
    return _step(folder, _meta(folder if folder.exists() else previous(folder)))


def fill(model: StoredModel, state: Checkpoint) -> None:
    """Set the model's parameters and tables to the checkpoint's; names and shapes must be the model's own."""
    path, parameters = state.folder / MODEL, model.tensors()
    if state.model.keys() != parameters.keys():
        odd = sorted(state.model.keys() ^ parameters.keys())[0]
        where = "lacks" if odd in parameters else "has a surplus"
        raise MemlmError(f"{path} is of another model: it {where} {odd!r}; config.toml must be the run's own")
    model.make_room({name: tensor.shape for name, tensor in state.model.items()})
    for name, parameter in parameters.items():
        if difference := _difference(state.model[name], parameter):
            raise MemlmError(
                f"{path} is of another model: {name!r} is {difference}; config.toml must be the run's own"
            )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(state.model[name])


def _difference(found: Tensor, wanted: Tensor) -> str:
    """How a tensor differs in shape or, which would be a silent loss, in type; empty if it does not."""
    if found.shape != wanted.shape:
        return f"{tuple(found.shape)}, not {tuple(wanted.shape)}"
    return "" if found.dtype == wanted.dtype else f"{found.dtype}, not {wanted.dtype}".replace("torch.", "")


def set_aside(folder: Path, state: Checkpoint) -> None:
    """Where `read` fell back on the previous checkpoint, move the damaged one away, to NAME.damaged.

    Else the next `save` would put it in the place of the one that is whole.
    """
    if state.folder == folder or not folder.exists():
        return
    away = folder.with_name(folder.name + ".damaged")
    shutil.rmtree(away, ignore_errors=True)
    try:
        folder.rename(away)
    except OSError as error:
        raise MemlmError(f"cannot move the damaged {folder} away: {files.reason(error)}") from None


def go_back(folder: Path) -> None:
    """Put the previous checkpoint in the place of this one."""
    try:
        shutil.rmtree(folder)
        previous(folder).rename(folder)
        files.sync(folder.parent)
    except OSError as error:
        raise MemlmError(f"cannot put {previous(folder)} back in its place: {files.reason(error)}") from None


def _meta(folder: Path) -> dict[str, Any]:
    path = folder / META
    data = _bytes(path)
    try:
        meta = jsontext.loads(data)
    except ValueError:
        raise DamagedError(f"{path} is damaged: it is not JSON") from None
    if not isinstance(meta, dict) or "format" not in meta:
        raise DamagedError(f"{path} is damaged: it does not say its format")
    if ("sha256" in meta or meta["format"] == FORMAT) and not _is_sealed(data):
        raise DamagedError(f"{path} is damaged: its sha256 is not the one it was written with")
    if meta["format"] not in READABLE:
        known = " or ".join(map(str, READABLE))
        raise MemlmError(f"{path} has format {meta['format']}, not {known}: use the memlm that wrote it")
    return meta


def _step(folder: Path, meta: Mapping[str, Any]) -> int:
    try:
        return int(meta["step"])
    except (KeyError, TypeError, ValueError, OverflowError):
        raise DamagedError(f"{folder} is damaged: it does not say its step") from None


def _tensors(path: Path, sha256: str | None) -> dict[str, Tensor]:
    data = _bytes(path)
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise DamagedError(f"{path} is damaged: its sha256 is not the one it was written with")
    try:
        return safetensors.torch.load(data)
    except (SafetensorError, ValueError, KeyError, RuntimeError):  # of a file without a hash
        raise DamagedError(f"{path} is damaged: it does not hold tensors") from None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DamagedError(f"{path} is missing") from None
    except OSError as error:
        raise MemlmError(f"cannot read {path}: {files.reason(error)}") from None


def _sealed(meta: Mapping[str, Any]) -> bytes:
    """The JSON with its own sha256, which is that of the text with zeros in its place."""
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
