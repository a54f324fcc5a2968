"""No pickle is read, ever: memlm has no way to, and one planted in any of its files is refused or passed over."""

import ast
import io
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from memlm.data.corpus import encoded
from tests.helpers.command_line import SMALL, Memlm, refused
from tests.helpers.imports import FILES
from tests.helpers.mirrors import BOGUS, TEXTS, tarred, toy

PICKLING = {
    "pickle",
    "cPickle",
    "_pickle",
    "cloudpickle",
    "dill",
    "joblib",
    "shelve",
    "marshal",
    "copyreg",
    "numpy.lib",
}
LOADING = {"torch.load", "np.load", "numpy.load", "torch.save", "np.save", "torch.package", "torch.jit", "pandas"}
RUNNING = {"eval", "exec", "compile", "__import__", "allow_pickle"}


def names(tree: ast.AST) -> set[str]:
    """Every module imported, every dotted name, every function called by a bare name, every keyword."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                found |= {alias.name for alias in node.names} | {alias.name.split(".")[0] for alias in node.names}
            case ast.ImportFrom(module=str(module)):
                found |= {module, module.split(".")[0], *(f"{module}.{alias.name}" for alias in node.names)}
            case ast.Attribute():
                found.add(ast.unparse(node))
            case ast.Call(func=ast.Name(id=name)):
                found.add(name)
            case ast.keyword(arg=str(name)):
                found.add(name)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_source_has_no_way_to_read_one(path: Path):
    assert not names(ast.parse(path.read_text())) & (PICKLING | LOADING | RUNNING)


@pytest.mark.parametrize(
    "code", ["import pickle", "from pickle import loads", "torch.load(x)", "np.load(x)", "exec(x)"]
)
def test_a_way_to_read_one_would_be_found(code: str):
    assert names(ast.parse(code)) & (PICKLING | LOADING | RUNNING)


class Payload:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.mark),)


def pickles(mark: Path) -> list[bytes]:
    """A pickle by itself, as Python 2 wrote it, and as torch.save and old torch.save pack it."""
    saved, legacy = io.BytesIO(), io.BytesIO()
    torch.save(Payload(mark), saved)
    torch.save(Payload(mark), legacy, _use_new_zipfile_serialization=False)
    return [pickle.dumps(Payload(mark)), pickle.dumps(Payload(mark), 0), saved.getvalue(), legacy.getvalue()]


def test_the_payload_works(tmp_path: Path):
    for number, data in enumerate(pickles(tmp_path / "mark")):
        torch.load(io.BytesIO(data), weights_only=False) if number >= 2 else pickle.loads(data)
        (tmp_path / "mark").rmdir()


def test_one_in_a_run_is_never_run(memlm: Memlm, corpus: Path, tmp_path: Path):
    assert memlm("train", "--dataset", corpus, *SMALL, "--run-dir", "runs/a").exit_code == 0
    mark, copy = tmp_path / "mark", tmp_path / "copy"
    files = [path.relative_to("runs/a") for path in Path("runs/a").rglob("*") if path.is_file()]
    assert len(files) > 10
    for name in files:
        for data in pickles(mark):
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree("runs/a", copy)
            (copy / name).write_bytes(data)
            outcomes = [
                memlm("eval", copy),
                memlm("compare", copy),
                memlm("train", "--resume", copy, "--max-steps", 1),
            ]
            assert not mark.exists()
            failed = [refused(outcome) for outcome in outcomes if outcome.exit_code]
            assert failed or not {"config.toml", "vocab.txt", "best/model.safetensors"} & {str(name)}


def test_one_in_settings_or_data_is_never_run(
    memlm: Memlm, corpus: Path, root: Path, add, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    add(toy(BOGUS))
    monkeypatch.setattr(encoded, "WORTH_CACHING", 0)
    mark, planted = tmp_path / "mark", tmp_path / "planted"
    for data in pickles(mark):
        planted.write_bytes(data)
        assert "planted is not" in refused(memlm("train", "--config", planted, "--dataset", corpus))
        texts = Path(shutil.copytree(corpus, tmp_path / "texts", dirs_exist_ok=True))
        (texts / "train.txt").write_bytes(data)
        trained = memlm("train", "--dataset", texts, *SMALL)
        if trained.exit_code or not data.isascii():  # the pickles of Python 2 are words
            assert "train.txt is not UTF-8 text" in refused(trained)
        assert "it lacks" in refused(memlm("data", "get", "toy", "--from", planted))
        for name in TEXTS:
            (tmp_path / "toy.tgz").write_bytes(tarred(TEXTS | {name: data, "data.pkl": data}))
            assert f"{name} is not" in refused(memlm("data", "get", "toy", "--from", tmp_path / "toy.tgz"))
        shutil.rmtree(root / "encoded", ignore_errors=True)
        assert memlm("train", "--dataset", corpus, *SMALL, "--max-steps", 1).exit_code == 0
        kept = list((root / "encoded").iterdir())
        for path in kept:
            path.write_bytes(data)
        assert memlm("train", "--dataset", corpus, *SMALL, "--max-steps", 1).exit_code == 0
        assert all(path.read_bytes() != data for path in kept)
        assert not mark.exists()
