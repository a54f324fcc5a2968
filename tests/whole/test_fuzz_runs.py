"""Malformed settings, run folders and checkpoints."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import strategies as st

from memlm.config.registry import MODELS
from memlm.config.run import Config, read_toml
from memlm.config.training import TrainConfig
from memlm.errors import MemlmError
from memlm.evaluation import records
from memlm.experiments import compare, text_run
from memlm.inference.evaluation import read_split, score
from memlm.inference.load import load_text
from memlm.runs.folder import RunFolder
from tests.helpers.command_line import SMALL, Memlm
from tests.helpers.fuzzing import Fuzz, damaged

pytestmark = pytest.mark.soak

NUMBERS = st.integers() | st.sampled_from([0, 1, -1, 2**31, 2**63, 10**30]) | st.floats()
PLAIN = (
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8) | st.sampled_from(["lstm", "memn2n", "adjacent", "cpu"])
)
JSON = st.recursive(
    PLAIN, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=4), part, max_size=3)
)
KEYS = st.sampled_from(
    sorted({*TrainConfig.names(), *(key for kind in MODELS.values() for key in kind.names()), "name"})
)


def toml(value: Any) -> str:
    """A value of JSON as TOML, or nearly."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, float):
        return repr(value)
    return "1979-05-27" if value is None else json.dumps(value, ensure_ascii=False)


def config(top: dict[str, Any], model: dict[str, Any], train: dict[str, Any]) -> bytes:
    """A file of settings."""
    tables = {"": top, "[model]\n": model, "[train]\n": train}
    lines = (
        head + "".join(f"{json.dumps(k)} = {toml(v)}\n" for k, v in part.items()) for head, part in tables.items()
    )
    return "".join(lines).encode(errors="surrogatepass")


TABLES = st.dictionaries(KEYS | st.text(max_size=5), JSON, max_size=4)
TOPS = st.dictionaries(st.sampled_from(["dataset", "model", "train", "odd"]), JSON, max_size=2)
CONFIGS = st.builds(config, TOPS, TABLES, TABLES)


def test_settings(fuzz: Fuzz):
    path = fuzz.inside / "config.toml"

    def attempt(content: bytes) -> None:
        path.write_bytes(content)
        config = Config.from_dict(read_toml(path), where=str(path))
        path.write_text(config.to_toml())
        assert Config.from_dict(read_toml(path)) == config

    fuzz(attempt, CONFIGS | damaged(Config().to_toml().encode()), short=60, long=4000)


@pytest.fixture
def run(memlm: Memlm, corpus: Path, fuzz: Fuzz) -> Path:
    """A finished run, outside, for attempts on copies of it; no earlier checkpoint can stand in for a damaged one."""
    result = memlm("train", "--dataset", corpus, *SMALL, "--run-dir", fuzz.outside / "run")
    assert result.exit_code == 0, result.output
    for earlier in (fuzz.outside / "run").glob("*.previous"):
        shutil.rmtree(earlier)
    return fuzz.outside / "run"


def refusable(action: Callable[[], Any]) -> Any:
    """What the action gives, or None if it is refused in one line."""
    try:
        return action()
    except MemlmError as error:
        refusal = str(error)
    assert len(refusal.splitlines()) == 1
    return None


def use(run: Path) -> float | None:
    """All that reads a run; the perplexity that it gives."""
    refusable(lambda: compare.compare(run, run))
    refusable(lambda: RunFolder.open(run).metrics())
    evaluation = refusable(lambda: score(model := load_text(run), read_split(model, "test"), "test"))
    if evaluation is not None:
        refusable(lambda: records.record(RunFolder.open(run), evaluation))
    refusable(lambda: resumed(run))
    return None if evaluation is None else float(evaluation.passport["perplexity"])


def resumed(run: Path) -> None:
    """Read all that a run goes on from."""
    with text_run.resume(RunFolder.open(run), {"epochs": 5}):
        pass


def test_run_folders(fuzz: Fuzz, run: Path):
    """What is damaged is noticed where it would change a perplexity. Weights: test_weights, and their hashes."""
    expected = use(Path(shutil.copytree(run, fuzz.inside / "whole")))
    files = {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*") if path.is_file()}
    files = {name: data for name, data in files.items() if "tfevents" not in name and "safetensors" not in name}
    copy = fuzz.inside / "copy"

    def attempt(change: tuple[str, bytes | None]) -> None:
        name, content = change
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(run, copy)
        (copy / name).unlink()
        if content is not None:
            (copy / name).write_bytes(content)
        assert use(copy) in (None, expected)

    change = st.sampled_from(list(files)).flatmap(
        lambda name: st.tuples(st.just(name), st.none() | damaged(files[name]))
    )
    fuzz(attempt, change, short=40, long=2000)


def test_checkpoints_of_any_json(fuzz: Fuzz, run: Path):
    """Format 1, which has no hashes."""
    copy = Path(shutil.copytree(run, fuzz.inside / "copy"))
    places = [copy / which / "checkpoint.json" for which in ("best", "last")]
    meta = [json.loads(path.read_bytes()) | {"format": 1} for path in places]
    for part in meta:
        part.pop("sha256", None)
        part.pop("files", None)

    def attempt(change: tuple[int, str, str | None, Any]) -> None:
        which, key, inner, value = change
        for path, whole in zip(places, meta, strict=True):
            path.write_text(json.dumps(whole))
        shutil.copy(run / "env.json", copy)
        changed = dict(meta[which])
        changed[key] = value if inner is None else dict(changed.get("progress", {})) | {inner: value}
        places[which].write_text(json.dumps(changed))
        use(copy)

    keys = st.sampled_from(["format", "step", "epoch", "progress", "valid_perplexity"])
    inner = st.none() | st.sampled_from(
        ["annealing", "epoch", "step", "totals", "best_cost", "best_epoch", "history", "x"]
    )
    fuzz(attempt, st.tuples(st.integers(0, 1), keys, inner, JSON), short=25, long=1200)


def test_weights(fuzz: Fuzz, run: Path):
    """Files that safetensors would write, and ones that it would not; of format 1, which has no hashes."""
    copy = Path(shutil.copytree(run, fuzz.inside / "copy"))
    whole = {name: (copy / name).read_bytes() for name in ("best/model.safetensors", "last/model.safetensors")}
    whole["last/training.safetensors"] = (copy / "last/training.safetensors").read_bytes()
    for which in ("best", "last"):
        meta = json.loads((copy / which / "checkpoint.json").read_bytes()) | {"format": 1}
        kept = {key: value for key, value in meta.items() if key not in ("sha256", "files")}
        (copy / which / "checkpoint.json").write_text(json.dumps(kept))
    parameters = safetensors.torch.load(whole["best/model.safetensors"])
    dtypes = st.sampled_from([torch.float64, torch.float16, torch.int64, torch.bool, torch.complex64, torch.uint8])

    def odd(name: str, dtype: torch.dtype, shape: list[int]) -> bytes:
        other = parameters[name].to(dtype) if not shape else torch.zeros(shape, dtype=dtype)
        return safetensors.torch.save(parameters | {name: other})

    def header(change: dict[str, Any]) -> bytes:
        size = int.from_bytes(whole["best/model.safetensors"][:8], "little")
        described = json.loads(whole["best/model.safetensors"][8 : 8 + size])
        name = next(iter(described))
        described[name] |= change
        text = json.dumps(described).encode()
        return len(text).to_bytes(8, "little") + text + whole["best/model.safetensors"][8 + size :]

    made = st.builds(odd, st.sampled_from([*parameters, "odd"]).filter(parameters.__contains__), dtypes, st.just([]))
    made |= st.builds(odd, st.sampled_from(list(parameters)), dtypes, st.lists(st.integers(0, 9), max_size=3))
    made |= st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets"]), JSON, max_size=2).map(header)

    def attempt(change: tuple[str, bytes]) -> None:
        for name, data in whole.items():
            (copy / name).write_bytes(data)
        shutil.copy(run / "env.json", copy)
        (copy / change[0]).write_bytes(change[1])
        use(copy)

    change = st.sampled_from(list(whole)).flatmap(lambda name: st.tuples(st.just(name), made | damaged(whole[name])))
    fuzz(attempt, change, short=25, long=1200)
