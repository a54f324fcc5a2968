"""Settings as frozen dataclasses that validate themselves; TOML in and out.

The defaults are the recipe of Sukhbaatar et al. 2015 (arXiv:1503.08895, section 5) and its reference code.
Every field carries its own help text and limits, from which the command line and the errors are made.
"""

import dataclasses
import difflib
import json
import math
import re
import tomllib
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar, get_args, get_type_hints

from memlm.errors import MemlmError

DEVICES = ("auto", "cpu", "cuda")
PROTOCOLS = ("exact", "facebook")  # how a text is scored: memlm.evaluate
LARGEST = 10**38  # in size, so that a setting fits in float32
LAYERS_END, SIZES_END = 2**10, 2**20  # where a number of layers or a size can only be a slip, and would take for ever


def setting(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: tuple[str, ...] | None = None,
    safe: bool = False,
) -> Any:
    """A dataclass field with its help text and what it accepts: >= low, <= high, > above, < below, one of choices.

    One that is `safe` may be changed when a run is resumed.
    """
    limits = {"low": low, "high": high, "above": above, "below": below, "choices": choices, "safe": safe}
    return dataclasses.field(default=default, metadata={"help": help, **limits})


def unknown_name(kind: str, name: str, known: Iterable[str]) -> MemlmError:
    """The error for a name that is not known: lists those that are, the closest first where there is one."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return MemlmError(f"unknown {kind} {name!r}: {hint}known are {', '.join(known)}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of the settings: checks each field against its type and limits, refuses unknown keys."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            self._check(field)

    def _check(self, field: dataclasses.Field[Any]) -> None:
        value, limits = getattr(self, field.name), field.metadata
        if "help" not in limits:
            return
        accepted = field_types(type(self), field.name)
        if isinstance(value, int) and not isinstance(value, bool) and float in accepted:
            value = float(value) if abs(value) < LARGEST else math.inf
            object.__setattr__(self, field.name, value)
        if type(value) not in accepted:
            wanted = " or ".join("empty" if kind is type(None) else kind.__name__ for kind in accepted)
            raise MemlmError(f"{field.name} is {value!r}; it must be {wanted}")
        if value is None:
            return
        if isinstance(value, float) and not abs(value) < LARGEST:
            raise MemlmError(f"{field.name} is {value}; it must be finite, and below {float(LARGEST):g}")
        if limits["choices"] and value not in limits["choices"]:
            raise unknown_name(field.name, value, limits["choices"])
        if limits["low"] is not None and value < limits["low"]:
            raise MemlmError(f"{field.name} is {value}; it must be at least {limits['low']}")
        if limits["high"] is not None and value > limits["high"]:
            raise MemlmError(f"{field.name} is {value}; it must be at most {limits['high']}")
        if limits["above"] is not None and value <= limits["above"]:
            raise MemlmError(f"{field.name} is {value}; it must be above {limits['above']}")
        if limits["below"] is not None and value >= limits["below"]:
            raise MemlmError(f"{field.name} is {value}; it must be below {limits['below']}")

    @classmethod
    def names(cls) -> list[str]:
        """The names of the settings."""
        return [field.name for field in dataclasses.fields(cls) if field.metadata]

    @classmethod
    def safe_names(cls) -> list[str]:
        """The names of the settings that may be changed when a run is resumed."""
        fields = dataclasses.fields(cls)
        return [field.name for field in fields if field.metadata.get("safe")]

    def replace(self, values: Mapping[str, object], *, where: str = "settings") -> Self:
        """A copy with these values; an unknown name is refused, and said to come from `where`."""
        for name in values:
            if name not in self.names():
                raise unknown_name(f"setting in {where}", name, self.names())
        return dataclasses.replace(self, **values)


def field_types(owner: type, name: str) -> tuple[type, ...]:
    """The types a field accepts: (int,) or (int, NoneType)."""
    hint = get_type_hints(owner)[name]
    return get_args(hint) if isinstance(hint, types.UnionType) else (hint,)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelSettings(Settings):
    """Base of the settings of a model."""

    name: ClassVar[str]
    is_counted: ClassVar[bool] = False  # in one pass over the text, not trained in steps

    @property
    def label(self) -> str:
        """Short name for tables and folders."""
        return self.name

    def resolved(self) -> Self:
        """A copy in which nothing is left open."""
        return self


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemN2NConfig(ModelSettings):
    """The end-to-end memory network of Sukhbaatar et al. 2015, section 5."""

    name: ClassVar[str] = "memn2n"
    sampling: ClassVar[tuple[str, ...]] = ("chunks", "windows")  # the ones it can be trained with
    hops: int = setting(6, "times the memory is attended to", low=1, below=LAYERS_END)
    memory_size: int = setting(100, "words before the target that the memory holds", low=1, below=SIZES_END)
    units: int = setting(150, "units of the internal state and of each embedding", low=1, below=SIZES_END)
    linear_units: int | None = setting(
        None, "units that stay linear after a hop, the others pass a ReLU; not given: half of the units", low=0
    )
    tying: str = setting(
        "layerwise",
        "layerwise: one A, C and H for all hops; adjacent: A of a hop is C of the one before",
        choices=("layerwise", "adjacent"),
    )
    temporal_encoding: bool = setting(True, "add a learnt vector to each memory slot by its position")
    init_std: float = setting(0.05, "standard deviation of the initial weights", above=0)
    initial_state: float = setting(0.1, "constant that fills the state before the first hop")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.linear_units is not None and self.linear_units > self.units:
            raise MemlmError(f"linear_units is {self.linear_units}; it must be at most units, {self.units}")

    def replace(self, values: Mapping[str, object], *, where: str = "settings") -> Self:
        """A copy with these values; other units leave open again how many of them are linear."""
        if values.get("units", self.units) != self.units:
            values = {"linear_units": None} | dict(values)
        return super().replace(values, where=where)

    def resolved(self) -> Self:
        """A copy in which nothing is left open."""
        linear = self.units // 2 if self.linear_units is None else self.linear_units
        return dataclasses.replace(self, linear_units=linear)

    @property
    def label(self) -> str:
        """Short name for tables and folders: memn2n-6x100 is 6 hops over 100 words."""
        return f"{self.name}-{self.hops}x{self.memory_size}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LSTMConfig(ModelSettings):
    """A recurrent baseline: word embedding, LSTM layers with carried state, softmax (Zaremba et al. 2014)."""

    name: ClassVar[str] = "lstm"
    sampling: ClassVar[tuple[str, ...]] = ("streams",)
    layers: int = setting(1, "LSTM layers", low=1, below=LAYERS_END)
    units: int = setting(100, "units of each layer and of the embedding", low=1, below=SIZES_END)
    dropout: float = setting(0.0, "share of the non-recurrent connections dropped in training", low=0, below=1)
    init_range: float = setting(0.1, "initial weights are uniform in +- this", above=0)

    @property
    def label(self) -> str:
        """Short name for tables and folders: lstm-2x650 is 2 layers of 650 units."""
        return f"{self.name}-{self.layers}x{self.units}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class KneserNeyConfig(ModelSettings):
    """N-grams with modified interpolated Kneser-Ney smoothing (Chen & Goodman 1998, Harvard TR-10-98)."""

    name: ClassVar[str] = "kneser-ney"
    is_counted: ClassVar[bool] = True
    sampling: ClassVar[tuple[str, ...]] = ()
    order: int = setting(5, "words of the longest n-grams: the one predicted and those before it", low=1, below=21)

    @property
    def label(self) -> str:
        """Short name for tables and folders: kneser-ney-5 is of 5-grams."""
        return f"{self.name}-{self.order}"


ModelConfig = MemN2NConfig | LSTMConfig | KneserNeyConfig
MODELS: dict[str, type[ModelConfig]] = {kind.name: kind for kind in (MemN2NConfig, LSTMConfig, KneserNeyConfig)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig(Settings):
    """How a model is trained: losses are summed over a batch, so rate and clip are those of the sum."""

    sampling: str = setting(
        "chunks",
        "chunks: each target once an epoch, in random chunks; windows: positions drawn with replacement, as the "
        "reference code does; streams: text in order with carried state, for recurrent models",
        choices=("chunks", "windows", "streams"),
    )
    batch_size: int = setting(128, "targets a step", low=1, below=2**31)
    chunk_length: int = setting(4, "consecutive targets in a row of the batch", low=1)
    lr: float = setting(0.01, "initial learning rate, on the summed loss", above=0)
    clip: float = setting(50.0, "largest l2 norm of the whole gradient of the summed loss", above=0)
    anneal_factor: float = setting(1.5, "the rate is divided by this when it is annealed", low=1)
    anneal_after: int = setting(
        0, "0: anneal when validation is no better than an epoch before; n: after every epoch from the n-th on", low=0
    )
    min_lr: float = setting(1e-5, "stop when the rate falls below this", low=0)
    epochs: int = setting(100, "at most this many passes over the training split", low=1, safe=True)
    max_steps: int = setting(0, "stop after this many steps; 0: no limit", low=0, safe=True)
    seed: int = setting(1, "seed of the initial weights, the sampling and the dropout", low=0, below=2**63)
    precision: str = setting(
        "auto",
        "of the output layer's products in training; auto: bfloat16 on CUDA and AMX. Evaluation is in float32",
        choices=("auto", "float32", "bfloat16"),
    )
    device: str = setting("auto", "where to compute; auto: CUDA if there is one", choices=DEVICES, safe=True)
    checkpoint_every: str = setting(
        "10min", "save this often within an epoch too: minutes as 10min, or steps as 500; 0: never", safe=True
    )
    log_every: int = setting(50, "steps between points of the curves", low=1, safe=True)
    on_divergence: str = setting(
        "stop",
        "when the loss is no longer finite: stop; or halve: back to the last checkpoint with half the rate, at most 5 "
        "times",
        choices=("stop", "halve"),
        safe=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sampling != "windows" and self.batch_size % self.chunk_length:
            raise MemlmError(
                f"batch_size is {self.batch_size} targets; it must be a multiple of chunk_length, {self.chunk_length}"
            )
        if not re.fullmatch(r"\d+|\d+(\.\d+)?min", self.checkpoint_every, re.ASCII):
            raise MemlmError(
                f"checkpoint_every is {self.checkpoint_every!r}; it must be minutes, as 10min, or steps, as 500"
            )

    @property
    def checkpoint_interval(self) -> tuple[float, float]:
        """Steps and seconds between checkpoints, of which one is infinite."""
        number = float(self.checkpoint_every.removesuffix("min")) or math.inf
        return (math.inf, 60 * number) if self.checkpoint_every.endswith("min") else (number, math.inf)


Model = TypeVar("Model", bound=ModelSettings)
Train = TypeVar("Train", bound=Settings)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig(Generic[Model, Train]):
    """All that defines a run: dataset, model and training; a model that is counted has no settings of training."""

    models: ClassVar[Mapping[str, type[ModelSettings]]]  # those it can be of, by name

    dataset: str
    model: Model
    train: Train

    def __post_init__(self) -> None:
        try:
            self.dataset.encode()
        except UnicodeEncodeError:
            raise MemlmError(f"dataset is {self.dataset!r}; config.toml can hold only names that are UTF-8") from None

    @property
    def is_counted(self) -> bool:
        """Whether the model is counted in one pass over the text, not trained in steps."""
        return self.model.is_counted

    @property
    def parts(self) -> dict[str, Model | Train]:
        """The settings by the title of their table in TOML."""
        return {"model": self.model} if self.is_counted else {"model": self.model, "train": self.train}

    def resolved(self) -> Self:
        """A copy in which nothing is left open, as it is recorded in a run."""
        return dataclasses.replace(self, model=self.model.resolved())

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values; `from_dict` is the inverse."""
        parts = {title: dataclasses.asdict(part) for title, part in self.parts.items()}
        parts["model"] = {"name": self.model.name} | parts["model"]
        return {"dataset": self.dataset} | parts

    def to_toml(self) -> str:
        """The settings as TOML, each with its help text as a comment."""
        lines = [f"dataset = {_toml_value(self.dataset)}"]
        for title, part in self.parts.items():
            lines += ["", f"[{title}]"]
            if title == "model":
                lines.append(f"name = {_toml_value(self.model.name)}")
            for field in dataclasses.fields(part):
                value = getattr(part, field.name)
                lines.append(f"{field.name} = {_toml_value(value)}  # {field.metadata['help']}")
        return "\n".join(lines) + "\n"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, base: Self | None = None, where: str = "config") -> Self:
        """The settings in `values` on top of `base`; unknown keys and tables are refused by name."""
        for key in values:
            if key not in ("dataset", "model", "train"):
                raise unknown_name(f"key in {where}", key, ("dataset", "model", "train"))
        parts = {key: values.get(key, {}) for key in ("model", "train")}
        for key, part in parts.items():
            if not isinstance(part, Mapping):
                raise MemlmError(f"{where}: {key} must be a table, [{key}]")
        base = base or cls()  # type: ignore[call-arg]  # every kind of run has defaults
        dataset = values.get("dataset", base.dataset)
        if not isinstance(dataset, str):
            raise MemlmError(f"{where}: dataset is {dataset!r}; it must be a name or a folder")
        settings = dict(parts["model"])
        name = settings.pop("name", base.model.name)
        if not isinstance(name, str) or name not in cls.models:
            raise unknown_name("model", str(name), cls.models)
        model: Any = base.model if name == base.model.name else cls.models[name]()
        if parts["train"] and model.is_counted:
            raise MemlmError(f"{where} has a table [train], but {name} is counted, not trained: take it out")
        return cls(
            dataset=dataset,
            model=model.replace(settings, where=f"[model] of {where}, for {name},"),
            train=base.train.replace(parts["train"], where=f"[train] of {where}"),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(RunConfig[ModelConfig, TrainConfig]):
    """A run of a language model."""

    models = MODELS

    dataset: str = "ptb"
    model: ModelConfig = dataclasses.field(default_factory=MemN2NConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.is_counted:
            if self.train != TrainConfig():
                raise MemlmError(f"{self.model.name} is counted, not trained: it has no settings of training")
        elif self.train.sampling not in self.model.sampling:
            right = " or ".join(self.model.sampling)
            raise MemlmError(f"{self.model.name} is trained with sampling {right}, not {self.train.sampling}")


def read_toml(path: Path) -> dict[str, Any]:
    """The file's tables, with a one-line error for what is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MemlmError(f"no config file at {path}") from None
    except OSError as error:
        raise MemlmError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise MemlmError(f"{path} is not UTF-8 text (byte {error.start})") from None
    except (ValueError, RecursionError) as error:
        raise MemlmError(f"{path} is not valid TOML: {error}") from None


def _toml_value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace(
            "\x7f", "\\u007f"
        )  # a TOML string is a JSON one but for DEL
    return repr(value)
