"""Settings validate themselves, survive TOML, and refuse what they do not know."""

import re
from pathlib import Path

import pytest

from memlm.config.data import DataConfig
from memlm.config.run import Config, read_toml
from memlm.errors import MemlmError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[model]\nhop = 3", "unknown setting in [model] of FILE, for memn2n, 'hop': did you mean 'hops'?"),
        ("[training]\nlr = 1", "unknown key in FILE 'training': did you mean 'train'?"),
        ("[model]\nname = 'gru'", "known are memn2n, lstm, kneser-ney; a model defined outside of memlm must be "),
        ("model = 3", "FILE: model must be a table, [model]"),
        ("dataset = 3", "FILE: dataset is 3; it must be a name, a folder or a file"),
        ("[model\n", "FILE is not valid TOML"),
        ("[model]\nname = 'lstm'\n[train]\nsampling = 'chunks'", "lstm is trained with sampling streams, not chunks"),
    ],
)
def test_bad_files_are_named(text: str, message: str, tmp_path: Path):
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(MemlmError, match=re.escape(message.replace("FILE", str(path)))):
        Config.from_dict(read_toml(path), where=str(path))


def test_a_dataset_whose_name_is_no_text_is_named():
    with pytest.raises(MemlmError, match=r"dataset is 'a\\udcff'; config.toml can hold only UTF-8 names"):
        Config(dataset="a\udcff")


def test_settings_of_a_text_survive_toml(tmp_path: Path):
    data = DataConfig(min_count=3, vocab_size=100, lowercase=True, split="8,1,1")
    path = tmp_path / "config.toml"
    for config in (Config(data=data).resolved(), Config(data=DataConfig(tokenizer="sentencepiece", pieces="bpe"))):
        path.write_text(config.to_toml())
        assert Config.from_dict(read_toml(path)) == config
    path.write_text("[data]\nmin_cuont = 3")
    with pytest.raises(
        MemlmError, match=r"unknown setting in \[data\] of config 'min_cuont': did you mean 'min_count'"
    ):
        Config.from_dict(read_toml(path))


def test_a_config_without_settings_of_its_text_has_the_defaults(tmp_path: Path):
    path = tmp_path / "config.toml"
    path.write_text("[train]\nepochs = 3")
    assert Config.from_dict(read_toml(path)).data == DataConfig()
