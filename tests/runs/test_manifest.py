"""What a run says of itself: read once, and held against what env.json notes of it."""

import json
from pathlib import Path

import pytest

from memlm.config.models import MemN2NConfig
from memlm.config.recipes import recipe
from memlm.config.run import Config
from memlm.data.vocabulary.words import Vocabulary, WordList
from memlm.errors import MemlmError
from memlm.runs import manifest
from memlm.runs.folder import RunFolder

DAMAGED = "is damaged: it differs from what the run was made with, as recorded in env.json"


@pytest.fixture
def run(tmp_path: Path, vocabulary: Vocabulary) -> Path:
    config = Config(dataset="ptb", model=MemN2NConfig(units=4))
    return RunFolder.create(tmp_path / "run", config, vocabulary, data_sha256={"train": "abc"}).path


def test_a_language_model_says_what_it_is(run: Path, vocabulary: Vocabulary):
    found = manifest.read(run)
    assert not found.answers_questions
    assert found.text_config == found.config
    assert found.text_config.model == MemN2NConfig(units=4).resolved()
    assert found.vocabulary.words == vocabulary.words
    assert found.environment["vocabulary_sha256"] == vocabulary.sha256
    with pytest.raises(MemlmError, match="run is a run of a language model: it answers no questions about stories"):
        _ = found.question_config


def test_a_run_of_questions_says_what_it_is(tmp_path: Path):
    words = WordList(["garden", "hall"])
    run = RunFolder.create(tmp_path / "run", recipe("pe"), words)
    found = run.manifest()
    assert found.answers_questions
    assert found.question_config.model.name == "memn2n-qa"
    assert found.words.words == words.words
    with pytest.raises(MemlmError, match="run is a run of question answering: use `memlm ask` or `memlm eval`"):
        _ = found.text_config


def test_other_settings_or_words_than_the_runs_own_are_refused(run: Path):
    settings, words = run / "config.toml", run / "vocab.txt"
    before = settings.read_text()
    settings.write_text(before.replace("units = 4", "units = 5"))
    with pytest.raises(MemlmError, match=r"^\[model\] of .*config.toml " + DAMAGED):
        manifest.read(run)
    settings.write_text(before)
    words.write_text(words.read_text().replace("cat", "dog"))
    with pytest.raises(MemlmError, match=r"vocab.txt " + DAMAGED):
        _ = manifest.read(run).vocabulary
    settings.write_text(before.replace('"memn2n"', '"gru"'))
    with pytest.raises(MemlmError, match="gru"):
        manifest.read(run)
    settings.write_text(before.replace('"memn2n"', "[]"))
    with pytest.raises(MemlmError, match="unknown model"):
        manifest.read(run)


def test_another_text_is_refused(run: Path):
    found = manifest.read(run)
    found.check_text("ptb", {"train": "abc", "test": "of which nothing is noted"})
    with pytest.raises(MemlmError, match=r"the train text of ptb is not the one that .*run was trained on"):
        found.check_text("ptb", {"train": "abd"})
    noted = run / "env.json"
    noted.write_text(json.dumps(json.loads(noted.read_text()) | {"data_sha256": 3}))
    with pytest.raises(MemlmError, match=r"env\.json is damaged: data_sha256 is not a table"):
        manifest.read(run).check_text("ptb", {})
    noted.write_text("[]")
    with pytest.raises(MemlmError, match=r"env\.json is damaged: it is not a JSON object"):
        manifest.read(run)
