"""The registry: a model of one's own is built, trained, saved, loaded and scored as those of memlm are."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import memlm as package
from memlm.config import recipes
from memlm.config.models import AnswererSettings, MemN2NConfig, ModelSettings, NeuralSettings
from memlm.config.recipes import RECIPES, default_recipe, describe, recipe
from memlm.config.registry import model_settings
from memlm.config.run import Config
from memlm.config.settings import setting
from memlm.config.training import LSTM_TRAINING, TrainConfig
from memlm.data.batches import gather, plan_epoch
from memlm.data.vocabulary.words import Vocabulary
from memlm.errors import MemlmError
from memlm.evaluation.perplexity import token_nats
from memlm.models.base import LanguageModel, State
from memlm.models.build import build, build_initialised, register
from memlm.models.layers.head import TrainableHead
from memlm.models.layers.output import output_layer
from memlm.models.stacked import StackedMemN2N
from memlm.runs import checkpoint
from memlm.runs.folder import RunFolder
from tests.helpers.registries import restored_registries

V = 7  # words of the vocabulary fixture


@dataclasses.dataclass(frozen=True, kw_only=True)
class GRUConfig(NeuralSettings):
    """A GRU."""

    name: ClassVar[str] = "gru"
    sampling: ClassVar[tuple[str, ...]] = ("streams",)
    units: int = setting(100, "units of the layer and of the embedding", low=1)


def gru() -> Config:
    """A GRU, as in the README: `memlm.recipe("gru")`"""
    train = TrainConfig(sampling="streams", batch_size=8, chunk_length=4, lr=0.1)
    return Config(dataset="ptb", model=GRUConfig(), train=train)


class GRU(LanguageModel):
    head: TrainableHead
    carries_state = True
    context_size = 1

    def __init__(self, config: GRUConfig, vocabulary_size: int, eos: int) -> None:
        super().__init__()
        self.eos = eos
        self.embedding = nn.Embedding(vocabulary_size, config.units)
        self.gru = nn.GRU(config.units, config.units, batch_first=True)
        self.head = output_layer(config, vocabulary_size, bias=True)

    def draw_weights(self, values: Tensor, generator: torch.Generator) -> None:
        values.uniform_(-0.1, 0.1, generator=generator)

    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        words = torch.where(inputs < 0, self.eos, inputs)
        outputs, last = self.gru(
            self.embedding(words), None if state is None else state[0][:, : len(inputs)].contiguous()
        )
        return outputs, (last,)


@pytest.fixture(autouse=True)
def registries() -> Iterator[None]:
    """What a test registers is forgotten after it."""
    with restored_registries():
        yield


def step(model: LanguageModel, config: TrainConfig, tokens: np.ndarray, first: int, state: State) -> State:
    """A step of plain SGD on a batch of the first epoch."""
    assert isinstance(model.head, TrainableHead)
    batch = gather(tokens, plan_epoch(config, len(tokens), 0)[first], model.context_size)
    inputs, targets = torch.from_numpy(batch.inputs), torch.from_numpy(batch.targets)
    hidden, state = model(inputs, state)
    rows = hidden.flatten(0, 1)
    _, grad = model.head.backward(rows.detach(), targets.flatten())
    rows.backward(grad)
    torch.optim.SGD(model.parameters(), lr=config.lr).step()
    model.zero_grad()
    return tuple(part.detach() for part in state or ())


def test_a_model_of_ones_own_is_trained_saved_loaded_and_scored(
    tmp_path: Path, vocabulary: Vocabulary, rng: np.random.Generator
):
    assert register(GRUConfig, GRU, recipe=gru) is GRU
    config = dataclasses.replace(recipe("gru"), model=GRUConfig(units=6))
    model = build_initialised(config.model, vocabulary_size=V, eos=0, seed=3)
    tokens = rng.integers(V, size=60).astype(np.int32)
    before = token_nats(model, tokens).mean()
    state = step(model, config.train, tokens, 0, None)
    step(model, config.train, tokens, 1, state)
    after = token_nats(model, tokens)
    assert after.mean() < before
    run = RunFolder.create(tmp_path / "run", config, vocabulary)
    checkpoint.save(run.best, model, {"step": 2})
    loaded = package.load(run.path)
    assert type(loaded.model) is GRU
    assert loaded.config == config
    np.testing.assert_array_equal(token_nats(loaded.model, tokens), after)
    assert loaded.perplexity("the cat sat") > 1


def test_its_settings_are_those_of_its_recipe():
    register(GRUConfig, GRU, recipe=gru)
    assert Config(model=GRUConfig()) == Config.from_dict({"model": {"name": "gru"}}) == recipe("gru") == gru()
    assert default_recipe("gru") == gru()
    assert describe("gru") == 'A GRU, as in the README: `memlm.recipe("gru")`'
    assert recipes.recipes()["gru"] == describe("gru")


def test_without_a_recipe_a_model_is_trained_as_its_sampling_is():
    made = register(GRUConfig)(GRU)
    assert made is GRU
    assert recipe("gru") == Config(model=GRUConfig(), train=LSTM_TRAINING)
    assert describe("gru") == "A GRU."


def test_restarts_that_a_model_can_not_train_are_refused():
    register(GRUConfig, GRU, recipe=gru)
    with pytest.raises(MemlmError, match="restarts is 2, but only memn2n"):
        dataclasses.replace(gru(), train=gru().train.replace({"restarts": 2}))
    with pytest.raises(MemlmError, match="gru can't be trained side by side: train it 2 times"):
        build(GRUConfig(), vocabulary_size=V, restarts=2)


def defined(**changes: object) -> type[Any]:
    """A settings class of another module with these attributes."""
    body = {"__annotations__": {"name": ClassVar[str]}, "name": "gru", "sampling": ("streams",), "__module__": "other"}
    base = changes.pop("base", GRUConfig)
    assert isinstance(base, type)
    return dataclasses.dataclass(frozen=True, kw_only=True)(type("Other", (base,), body | changes))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (defined(), "Other can't be registered: the name 'gru' is that of GRUConfig"),
        (defined(name="lstm"), "Other can't be registered: the name 'lstm' is that of LSTMConfig"),
        (defined(name="pe-ls"), "Other can't be registered: 'pe-ls' is the name of a recipe"),
        (defined(name="new", sampling=("pages",)), "its sampling must be some of chunks, windows, streams"),
        (defined(name="new", base=NeuralSettings), "Other can't be registered: units needs a default and a help text"),
        (defined(name="new", base=ModelSettings), "it must be a class of LanguageModelSettings or AnswererSettings"),
    ],
)
def test_what_can_not_be_registered_is_refused(kind: type[Any], message: str):
    register(GRUConfig, GRU, recipe=gru)
    with pytest.raises(MemlmError, match=re.escape(message)):
        register(kind, GRU)


def test_a_recipe_of_another_model_is_refused():
    with pytest.raises(MemlmError, match="the recipe of GRUConfig is of MemN2NConfig"):
        register(GRUConfig, GRU, recipe=Config)


def test_what_is_not_registered_is_refused():
    with pytest.raises(
        MemlmError, match=r"GRUConfig is not registered: register its model first, with memlm\.register"
    ):
        Config(model=GRUConfig())
    with pytest.raises(MemlmError, match=r"GRUConfig has no model: register one with memlm\.register"):
        build(GRUConfig(), vocabulary_size=V)
    with pytest.raises(
        MemlmError, match=r"unknown model 'gru': .*a model defined outside of memlm must be registered"
    ):
        Config.from_dict({"model": {"name": "gru"}})


def test_a_class_that_is_defined_anew_replaces_the_earlier_one():
    register(GRUConfig, GRU, recipe=gru)
    again: type[Any] = dataclasses.dataclass(frozen=True, kw_only=True)(
        type("GRUConfig", (GRUConfig,), {"__module__": __name__})
    )
    register(again, GRU)
    assert Config.from_dict({"model": {"name": "gru"}}).model == again()


@pytest.mark.parametrize("kind", model_settings().values(), ids=list(model_settings()))
def test_building_draws_nothing(kind: type[ModelSettings]):
    before = torch.get_rng_state()
    model: nn.Module
    if issubclass(kind, AnswererSettings):
        model = build(kind(), vocabulary_size=V, restarts=2)
    else:
        config = kind()
        assert not isinstance(config, AnswererSettings)
        model = build(config, vocabulary_size=V)  # type: ignore[call-overload]
    assert torch.equal(before, torch.get_rng_state())
    assert all(parameter.device.type == "cpu" for parameter in model.parameters())


def test_restarts_side_by_side_are_the_models_of_their_seeds():
    config = MemN2NConfig(hops=2, memory_size=3, units=4)
    stacked = build(config, vocabulary_size=V, restarts=2)
    assert isinstance(stacked, StackedMemN2N)
    stacked.initialise(5)
    for restart, seed in enumerate((5, 6)):
        alone = build_initialised(config, vocabulary_size=V, eos=0, seed=seed)
        for ours, theirs in zip(stacked.parameters(), alone.parameters(), strict=True):
            assert torch.equal(ours[restart], theirs)


def test_every_language_model_that_has_a_recipe_is_built():
    small = {"memory_size": 3, "units": 4}
    for name in RECIPES:
        model = recipe(name).model
        model = model.replace({key: value for key, value in small.items() if key in model.names()})
        assert build(model, vocabulary_size=V).parameter_count >= 0
