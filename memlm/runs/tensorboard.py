"""Writes a run's curves, images and hyperparameters for TensorBoard.

TensorBoard's own writer is not used: on a full disk its thread prints a traceback and loses the points.
"""

import io
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from memlm import files
from memlm.config.run import RunConfig
from memlm.errors import MemlmError

PREFIX = "events.out.tfevents."  # TensorBoard reads the files with this prefix, in the order of their names
RESULT_SUFFIX = ".result"  # of the event file that holds the hyperparameters and the final metrics


class EventWriter:
    """Writes the events of a run while it trains: scalars by step, and scalars and images by epoch.

    Names that begin with `epoch/` are by epoch. A run that resumes after `step` and `epoch` keeps the events up to
    there: they are copied to a new file, and the earlier files are deleted. So no point occurs twice, wherever the run
    was interrupted.
    """

    def __init__(self, path: Path, *, step: int = 0, epoch: int = 0) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        earlier = sorted(path.glob(f"{PREFIX}*"))
        self._path = _next_file(path)
        self._failure = ""
        # The start of a session tells a running TensorBoard to discard the events that it has read.
        start = Event(wall_time=time.time(), step=0, session_log=SessionLog(status=SessionLog.START))
        self._pending = [_version(), _record(start), *map(_record, _kept(earlier, step, epoch))]
        self.flush()
        if not self._failure:
            for file in earlier:
                file.unlink(missing_ok=True)

    def add_scalars(self, group: str, values: Mapping[str, float], step: int) -> None:
        """Add a point to each of the curves `group`/name."""
        self._pending.append(_record(_scalars({f"{group}/{name}": value for name, value in values.items()}, step)))
        self.flush()

    def add_image(self, name: str, pixels: npt.NDArray[np.uint8], step: int) -> None:
        """Add an image (height, width, 3). The Images tab shows it by step."""
        from tensorboard.compat.proto.event_pb2 import Event
        from torch.utils.tensorboard.summary import image

        summary = image(name, pixels, dataformats="HWC")  # type: ignore[no-untyped-call]
        self._pending.append(_record(Event(wall_time=time.time(), step=step, summary=summary)))
        self.flush()

    def flush(self) -> None:
        """Write the pending events. If that fails they stay pending: training continues, and `close` reports it."""
        data = memoryview(b"".join(self._pending))
        try:
            with self._path.open("ab", buffering=0) as file:
                before = file.seek(0, io.SEEK_END)
                try:
                    while data:
                        data = data[file.write(data) :]
                except OSError:
                    file.truncate(before)  # remove a half-written event
                    raise
        except OSError as error:
            self._failure = files.reason(error)
            return
        self._pending, self._failure = [], ""

    def close(self) -> None:
        """Write the pending events. Raises MemlmError if they cannot be written."""
        self.flush()
        if self._failure:
            raise MemlmError(
                f"cannot write {self._path}: {self._failure}; only the latest points of the curves are lost"
            )


def write_result(path: Path, config: RunConfig[Any, Any], metrics: Mapping[str, float], step: int) -> None:
    """Write the hyperparameters and the final metrics, for the HParams tab. Replaces those of an earlier end."""
    from tensorboard.compat.proto.event_pb2 import Event
    from torch.utils.tensorboard.summary import hparams

    parts = config.resolved().to_dict()
    settings = (setting for title in config.tables for setting in parts.get(title, {}).items())
    flat = {"dataset": parts["dataset"]} | {name: value for name, value in settings if value is not None}
    final = {f"final/{name}": value for name, value in metrics.items()}
    summaries = hparams(flat, final)  # type: ignore[no-untyped-call]
    events = [*(Event(wall_time=time.time(), summary=summary) for summary in summaries), _scalars(final, step)]
    new, earlier = _next_file(path), list(path.glob(f"{PREFIX}*{RESULT_SUFFIX}"))
    files.write_whole(new.with_name(new.name + RESULT_SUFFIX), b"".join([_version(), *map(_record, events)]))
    for file in earlier:
        file.unlink()


def _next_file(path: Path) -> Path:
    """A new file name after all that exist. The prefix is followed by a number of ten digits, the time or more."""
    parts = [file.name.removeprefix(PREFIX).split(".")[0] for file in path.glob(f"{PREFIX}*")]
    number = max([int(time.time()), *(int(part) + 1 for part in parts if part.isdecimal())])
    return path / f"{PREFIX}{number:010}"


def _kept(earlier: Iterable[Path], step: int, epoch: int) -> Iterator[Any]:
    """The events up to a step and an epoch, each once. Final metrics are left out: the run has not ended any more."""
    events = {}
    for file in earlier:
        if not file.name.endswith(RESULT_SUFFIX):
            for event in _events(file):
                tags = tuple(value.tag for value in event.summary.value)
                if tags and event.step <= (epoch if tags[0].startswith("epoch/") else step):
                    events[tags, event.step] = event
    yield from events.values()


def _events(file: Path) -> Iterator[Any]:
    """The events of a file, up to the first that is damaged."""
    from google.protobuf.message import DecodeError
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    try:
        yield from LegacyEventFileLoader(str(file)).Load()
    except (OSError, DecodeError):
        return


def _scalars(values: Mapping[str, float], step: int) -> Any:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    points = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
    return Event(wall_time=time.time(), step=step, summary=Summary(value=points))


def _version() -> bytes:
    from tensorboard.compat.proto.event_pb2 import Event

    return _record(Event(wall_time=time.time(), file_version="brain.Event:2"))


def _record(event: Any) -> bytes:
    """An event in the file format: its length and its contents, each with a checksum."""
    from tensorboard.summary.writer.record_writer import RecordWriter

    buffer = io.BytesIO()
    RecordWriter(buffer).write(event.SerializeToString())
    return buffer.getvalue()
