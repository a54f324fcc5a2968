"""Datasets: a file that is split, a folder, or a name of the catalogue."""

from pathlib import Path

import pytest

from memlm.config.data import DataConfig
from memlm.data import dataset
from memlm.data.corpus.splitting import split_file
from memlm.errors import MemlmError


def test_a_file_is_a_dataset_of_its_shares(file: Path):
    file.write_bytes(b"\xef\xbb\xbfA the\r\n" + b"The cat a\n" * 78 + b"the cat\r\n\n" + b"a DOG cat\n" * 20)
    data = dataset.load_dataset(str(file), DataConfig(split="8,1,1", lowercase=True, min_count=2))
    assert data.vocabulary.words == ("<eos>", "the", "a", "cat", "<unk>")
    assert [text.words for text in data.splits.values()] == [3 + 78 * 4 + 4, 40, 40]
    assert [text.oov for text in data.splits.values()] == [0, 10, 10]
    assert split_file(file, "8,1,1") == split_file(file, "80.0,10,10")


def test_only_one_file_is_split(corpus: Path):
    with pytest.raises(MemlmError, match=rf"only a dataset that is one file can be split: {corpus} has"):
        dataset.load_dataset(str(corpus), DataConfig(split="8,1,1"))
    with pytest.raises(MemlmError, match=r"split is 8,1,1, .*: text8 has splits of its own"):
        dataset.load_dataset("text8", DataConfig(split="8,1,1"))
    with pytest.raises(MemlmError, match="unknown dataset 'ptbb'"):
        dataset.load_dataset("ptbb", DataConfig(split="8,1,1"))
