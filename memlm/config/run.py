"""All that defines a run: tables of settings, read from and written as TOML."""

import dataclasses
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from memlm.config.data import DataConfig
from memlm.config.models import MODELS, READERS, AnswererConfig, MemN2NConfig, ModelConfig, ModelSettings, ReaderConfig
from memlm.config.settings import Settings
from memlm.config.training import QATrainConfig, TrainConfig
from memlm.errors import MemlmError, unknown_name

Model = TypeVar("Model", bound=ModelSettings)
Train = TypeVar("Train", bound=Settings)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig(Generic[Model, Train]):
    """All that defines a run: dataset, model and training; a model that is counted has no settings of training."""

    tables: ClassVar[tuple[str, ...]] = ("model", "train")  # those of TOML, each of settings
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
    def parts(self) -> dict[str, Settings]:
        """The settings by the title of their table in TOML."""
        return {title: getattr(self, title) for title in self.tables if title != "train" or not self.is_counted}

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
                value, help = getattr(part, field.name), field.metadata["help"]
                # TOML knows no value that is none.
                lines.append(
                    f"# {field.name}: {help}" if value is None else f"{field.name} = {_toml_value(value)}  # {help}"
                )
        return "\n".join(lines) + "\n"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, base: Self | None = None, where: str = "config") -> Self:
        """The settings in `values` on top of `base`; unknown keys and tables are refused by name."""
        for key in values:
            if key not in ("dataset", *cls.tables):
                raise unknown_name(f"key in {where}", key, ("dataset", *cls.tables))
        parts = {key: values.get(key, {}) for key in cls.tables}
        for key, part in parts.items():
            if not isinstance(part, Mapping):
                raise MemlmError(f"{where}: {key} must be a table, [{key}]")
        base = base or cls()  # type: ignore[call-arg]  # every kind of run has defaults
        dataset = values.get("dataset", base.dataset)
        if not isinstance(dataset, str):
            raise MemlmError(f"{where}: dataset is {dataset!r}; it must be a name, a folder or a file")
        settings = dict(parts["model"])
        name = settings.pop("name", base.model.name)
        if not isinstance(name, str) or name not in cls.models:
            raise unknown_name("model", str(name), cls.models)
        model: Any = base.model if name == base.model.name else cls.models[name]()
        if parts["train"] and model.is_counted:
            raise MemlmError(f"{where} has a table [train], but {name} is counted, not trained: take it out")
        model = model.replace(settings, where=f"[model] of {where}, for {name},")
        others: dict[str, Any] = {
            title: getattr(base, title).replace(parts[title], where=f"[{title}] of {where}")
            for title in cls.tables
            if title != "model"
        }
        return cls(dataset=dataset, model=model, **others)


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(RunConfig[ModelConfig, TrainConfig]):
    """A run of a language model."""

    tables = ("data", "model", "train")
    models = MODELS

    dataset: str = "ptb"
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
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
        elif self.train.restarts > 1 and not (isinstance(self.model, MemN2NConfig) and self.model.softmax == "full"):
            raise MemlmError(
                f"restarts is {self.train.restarts}, but only memn2n with a full softmax is trained side by side: "
                f"train {self.model.label} as often, each time with another --seed"
            )

    def resolved(self) -> Self:
        """A copy in which nothing is left open but what the dataset decides: memlm.data.dataset.resolved_config."""
        return dataclasses.replace(super().resolved(), data=self.data.resolved())


DATASETS_OF_QUESTIONS = ("babi", "stories-qa")  # whose tasks are in memlm.data.questions.tasks


@dataclasses.dataclass(frozen=True, kw_only=True)
class QAConfig(RunConfig[ReaderConfig, QATrainConfig]):
    """A run that answers questions about stories."""

    models = READERS

    dataset: str = "babi"
    model: ReaderConfig = dataclasses.field(default_factory=AnswererConfig)
    train: QATrainConfig = dataclasses.field(default_factory=QATrainConfig)


AnyConfig = Config | QAConfig


def is_collection(config: QAConfig) -> bool:
    """Whether a run of these settings is a folder of runs, one a task."""
    return config.train.task == "all" and not config.train.joint


def changed(config: AnyConfig, dataset: str | None, settings: Mapping[str, Any]) -> AnyConfig:
    """The settings with another dataset, and with some settings of whatever table has them.

    Raises MemlmError for a setting that none has, and for a dataset that the model can't be trained on.
    """
    for name in settings:
        if not any(name in part.names() for part in config.parts.values()):
            known = [known for part in config.parts.values() for known in part.names()]
            raise unknown_name(f"setting of {config.model.name}", name, known)
    if dataset is not None and dataset != config.dataset and "data" in config.parts:
        settings = {"split": None} | dict(settings)  # the other dataset has its own
    parts: dict[str, Any] = {
        title: part.replace({name: value for name, value in settings.items() if name in part.names()})
        for title, part in config.parts.items()
    }
    found: AnyConfig = dataclasses.replace(config, dataset=config.dataset if dataset is None else dataset, **parts)
    if isinstance(found, QAConfig) != (found.dataset in DATASETS_OF_QUESTIONS):
        other = "a text" if found.dataset in DATASETS_OF_QUESTIONS else "questions about stories"
        raise MemlmError(f"{found.model.name} can't be trained on {found.dataset}: its data is {other}")
    return found
