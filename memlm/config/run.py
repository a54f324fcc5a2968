"""All that defines a run: tables of settings, read from and written as TOML."""

import dataclasses
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from memlm.config.data import DataConfig
from memlm.config.models import (
    AnswererConfig,
    AnswererSettings,
    LanguageModelSettings,
    MemN2NConfig,
    ModelSettings,
)
from memlm.config.registry import ANSWERERS, MODELS, check_registered, default_training, unknown_model
from memlm.config.settings import Settings
from memlm.config.training import QATrainConfig, TrainConfig
from memlm.errors import MemlmError, unknown_name

Model = TypeVar("Model", bound=ModelSettings)
Train = TypeVar("Train", bound=Settings)

DATASETS_OF_QUESTIONS = ("babi", "stories-qa")  # whose tasks are in memlm.data.questions.tasks
_OF_THE_MODEL: Any = None  # training settings that are not given: those of the model's default recipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig(Generic[Model, Train]):
    """All that defines a run: dataset, model and training.

    `train` has the training settings of the model's default recipe unless it is given.
    """

    tables: ClassVar[tuple[str, ...]] = ("model", "train")  # the tables of config.toml
    models: ClassVar[Mapping[str, type[ModelSettings]]]  # the models a run can have, by name

    dataset: str
    model: Model
    train: Train

    def __post_init__(self) -> None:
        check_registered(type(self.model))
        if self.train is _OF_THE_MODEL:
            object.__setattr__(self, "train", default_training(self.model))
        try:
            self.dataset.encode()
        except UnicodeEncodeError:
            raise MemlmError(f"dataset is {self.dataset!r}; config.toml can hold only UTF-8 names") from None

    @property
    def parts(self) -> dict[str, Settings]:
        """The settings by the table of config.toml; a model that is not trained has no table [train]."""
        return {title: getattr(self, title) for title in self.tables if title != "train" or self.model.trained}

    def resolved(self) -> Self:
        """A copy in which every setting of the model has its final value."""
        return dataclasses.replace(self, model=self.model.resolved())

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values. `from_dict` is the inverse."""
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
                # TOML has no null.
                lines.append(
                    f"# {field.name}: {help}" if value is None else f"{field.name} = {_toml_value(value)}  # {help}"
                )
        return "\n".join(lines) + "\n"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, base: Self | None = None, where: str = "config") -> Self:
        """The settings in `values`, and those of `base` or the defaults of the model for what is not there.

        Raises MemlmError for an unknown table, setting or model.
        """
        parts = cls._tables(values, where)
        settings = dict(parts["model"])
        name = settings.pop("name", (base or cls()).model.name)  # type: ignore[call-arg]  # every kind of run has defaults
        if not isinstance(name, str) or name not in cls.models:
            raise unknown_model(str(name), cls.models)
        model: Any = base.model if base and name == base.model.name else cls.models[name]()
        base = base or cls(model=model)  # type: ignore[call-arg]
        dataset = values.get("dataset", base.dataset)
        if not isinstance(dataset, str):
            raise MemlmError(f"{where}: dataset is {dataset!r}; it must be a name, a folder or a file")
        if parts["train"] and not model.trained:
            raise MemlmError(f"{where} has a table [train], but {name} is counted, not trained: take it out")
        model = model.replace(settings, where=f"[model] of {where}, for {name},")
        others: dict[str, Any] = {
            title: getattr(base, title).replace(parts[title], where=f"[{title}] of {where}")
            for title in cls.tables
            if title != "model"
        }
        return cls(dataset=dataset, model=model, **others)

    @classmethod
    def _tables(cls, values: Mapping[str, Any], where: str) -> dict[str, Mapping[str, Any]]:
        for key in values:
            if key not in ("dataset", *cls.tables):
                raise unknown_name(f"key in {where}", key, ("dataset", *cls.tables))
        tables = {key: values.get(key, {}) for key in cls.tables}
        for key, table in tables.items():
            if not isinstance(table, Mapping):
                raise MemlmError(f"{where}: {key} must be a table, [{key}]")
        return tables


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises MemlmError if it can't be read or is not TOML."""
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
class Config(RunConfig[LanguageModelSettings, TrainConfig]):
    """A run of a language model."""

    tables = ("data", "model", "train")
    models = MODELS

    dataset: str = "ptb"
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: LanguageModelSettings = dataclasses.field(default_factory=MemN2NConfig)
    train: TrainConfig = _OF_THE_MODEL

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.model.trained:
            if self.train != TrainConfig():
                raise MemlmError(f"{self.model.name} is counted, not trained: it has no training settings")
        elif self.train.sampling not in self.model.sampling:
            right = " or ".join(self.model.sampling)
            raise MemlmError(f"{self.model.name} is trained with sampling {right}, not {self.train.sampling}")
        elif self.train.restarts > 1 and not self.model.trains_side_by_side:
            raise MemlmError(
                f"restarts is {self.train.restarts}, but only memn2n with a full softmax is trained side by side: "
                f"train {self.model.label} as often, each time with another --seed"
            )

    def resolved(self) -> Self:
        """A copy in which nothing is left open but what the dataset decides: memlm.data.dataset.resolved_config."""
        return dataclasses.replace(super().resolved(), data=self.data.resolved())


@dataclasses.dataclass(frozen=True, kw_only=True)
class QAConfig(RunConfig[AnswererSettings, QATrainConfig]):
    """A run of a model that answers questions about stories."""

    models = ANSWERERS

    dataset: str = "babi"
    model: AnswererSettings = dataclasses.field(default_factory=AnswererConfig)
    train: QATrainConfig = _OF_THE_MODEL


AnyConfig = Config | QAConfig


def is_collection(config: QAConfig) -> bool:
    """Whether a run with these settings is a folder of runs, one per task."""
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
