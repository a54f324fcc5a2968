"""TensorBoard curves and pictures of a run.

Written without TensorBoard's own writer: its thread would report a full disk by a traceback, and lose the points.
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

PREFIX = "events.out.tfevents."  # how TensorBoard knows its files; it reads them in the order of their names
RESULT_SUFFIX = ".result"  # of the event file that holds hyperparameters and final figures


class Curves:
    """Points by step while a run trains, and points and pictures by epoch, whose names begin with `epoch/`.

    A run that goes on after `step` and `epoch` keeps the points up to there, in a new file that stands for the
    earlier ones: no point is there twice, wherever the run was cut off.
    """

    def __init__(self, path: Path, *, step: int = 0, epoch: int = 0) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        earlier = sorted(path.glob(f"{PREFIX}*"))
        self._path = _next_file(path)
        self._failure = ""
        # The start of a session tells a TensorBoard that is looking on to forget what it has read.
        start = Event(wall_time=time.time(), step=0, session_log=SessionLog(status=SessionLog.START))
        self._pending = [_version(), _record(start), *map(_record, _kept(earlier, step, epoch))]
        self.flush()
        if not self._failure:
            for file in earlier:
                file.unlink(missing_ok=True)

    def add(self, group: str, values: Mapping[str, float], step: int) -> None:
        """A point on each of the curves `group`/name."""
        self._pending.append(_record(_scalars({f"{group}/{name}": value for name, value in values.items()}, step)))
        self.flush()

    def picture(self, name: str, pixels: npt.NDArray[np.uint8], step: int) -> None:
        """A picture (height, width, 3); the Images tab shows it by step."""
        from tensorboard.compat.proto.event_pb2 import Event
        from torch.utils.tensorboard.summary import image

        summary = image(name, pixels, dataformats="HWC")  # type: ignore[no-untyped-call]
        self._pending.append(_record(Event(wall_time=time.time(), step=step, summary=summary)))
        self.flush()

    def flush(self) -> None:
        """Write what is pending. Where that fails it stays pending: training goes on, and `close` tells."""
        data = memoryview(b"".join(self._pending))
        try:
            with self._path.open("ab", buffering=0) as file:
                before = file.seek(0, io.SEEK_END)
                try:
                    while data:
                        data = data[file.write(data) :]
                except OSError:
                    file.truncate(before)  # no half of a point
                    raise
        except OSError as error:
            self._failure = files.reason(error)
            return
        self._pending, self._failure = [], ""

    def close(self) -> None:
        """Write what is pending; MemlmError if it can't be written."""
        self.flush()
        if self._failure:
            raise MemlmError(f"cannot write {self._path}: {self._failure}; all but the latest curves is saved")


def write_result(path: Path, config: RunConfig[Any, Any], figures: Mapping[str, float], step: int) -> None:
    """The hyperparameters beside the final figures (the HParams tab), in place of those of an earlier end."""
    from tensorboard.compat.proto.event_pb2 import Event
    from torch.utils.tensorboard.summary import hparams

    parts = config.resolved().to_dict()
    settings = (setting for title in config.tables for setting in parts.get(title, {}).items())
    flat = {"dataset": parts["dataset"]} | {name: value for name, value in settings if value is not None}
    final = {f"final/{name}": value for name, value in figures.items()}
    summaries = hparams(flat, final)  # type: ignore[no-untyped-call]
    events = [*(Event(wall_time=time.time(), summary=summary) for summary in summaries), _scalars(final, step)]
    new, earlier = _next_file(path), list(path.glob(f"{PREFIX}*{RESULT_SUFFIX}"))
    files.write_whole(new.with_name(new.name + RESULT_SUFFIX), b"".join([_version(), *map(_record, events)]))
    for file in earlier:
        file.unlink()


def _next_file(path: Path) -> Path:
    """A name that comes after those that are there: a number of ten digits follows the prefix, at least the time."""
    parts = [file.name.removeprefix(PREFIX).split(".")[0] for file in path.glob(f"{PREFIX}*")]
    number = max([int(time.time()), *(int(part) + 1 for part in parts if part.isdecimal())])
    return path / f"{PREFIX}{number:010}"


def _kept(earlier: Iterable[Path], step: int, epoch: int) -> Iterator[Any]:
    """The events up to a step and an epoch, each once; final figures are of an end that is none any more."""
    events = {}
    for file in earlier:
        if not file.name.endswith(RESULT_SUFFIX):
            for event in _events(file):
                tags = tuple(value.tag for value in event.summary.value)
                if tags and event.step <= (epoch if tags[0].startswith("epoch/") else step):
                    events[tags, event.step] = event
    yield from events.values()


def _events(file: Path) -> Iterator[Any]:
    """The events of a file, as far as it is whole."""
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
    """An event as it stands in a file: length and contents, each with its check sum."""
    from tensorboard.summary.writer.record_writer import RecordWriter

    buffer = io.BytesIO()
    RecordWriter(buffer).write(event.SerializeToString())
    return buffer.getvalue()
