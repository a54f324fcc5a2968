"""The catalogue: names, pins, and that reading it costs nothing heavy."""

import hashlib
import re
import subprocess
import sys

import pytest

from memlm.data.catalog.datasets import CATALOG, PTB, lookup
from memlm.data.catalog.entries import SPLITS
from memlm.data.stories.generate import DEFAULT_SEED, generate_stories
from memlm.errors import MemlmError


def test_an_unknown_name_is_one_line_with_the_nearest_and_all_names():
    with pytest.raises(
        MemlmError, match=r"^unknown dataset 'ptbb': did you mean 'ptb'\? known are ptb, .*wikitext-103$"
    ):
        lookup("ptbb")
    with pytest.raises(MemlmError, match=r"^unknown dataset 'zzzzzz': known are"):
        lookup("zzzzzz")


@pytest.mark.parametrize("dataset", CATALOG.values(), ids=list(CATALOG))
def test_every_dataset_is_described_and_its_paths_and_pins_have_the_right_form(dataset):
    assert dataset.title
    assert dataset.about
    assert dataset.licence
    assert [bool(dataset.mirrors), dataset.generated, bool(dataset.source)].count(True) == 1
    paths = [file.path for file in dataset.files]
    assert len(set(paths)) == len(paths)
    for file in dataset.files:
        assert ".." not in file.path.split("/")
        assert not file.path.startswith("/")
        assert file.split is None or file.split in SPLITS
        assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert file.sha1 is None or re.fullmatch("[0-9a-f]{40}", file.sha1)


def test_what_has_no_hash_is_optional_or_imported():
    fetched = [dataset for dataset in CATALOG.values() if dataset.mirrors]
    unpinned = [file for dataset in fetched for file in dataset.files if file.sha256 is None and file.sha1 is None]
    assert [file.path for file in unpinned] == ["en-10k/qa3_three-supporting-facts_train.txt"]
    assert not unpinned[0].required
    assert unpinned[0].questions == 10_000


def test_ptb_has_the_published_counts():
    assert {split: file.tokens for split, file in PTB.split_files.items()} == {
        "train": 929_589,
        "valid": 73_760,
        "test": 82_430,
    }
    assert PTB.split_files["train"].types == 10_000


def test_babi_has_a_train_and_a_test_file_for_20_tasks_in_two_editions():
    babi = CATALOG["babi"]
    assert len(babi.files) == 80
    assert sum(file.required for file in babi.files) == 40
    assert babi.split_files == {}


def test_the_stories_are_those_that_the_generator_makes():
    dataset = CATALOG["stories"]
    assert dataset.seed == DEFAULT_SEED
    for split, made in generate_stories().items():
        text = ("\n".join(made.lines) + "\n").encode()
        file = dataset.split_files[split]
        pinned = (file.sha256, file.size, file.lines, file.tokens)
        assert pinned == (hashlib.sha256(text).hexdigest(), len(text), len(made.lines), made.tokens), split


def test_importing_the_catalogue_and_the_command_costs_no_heavy_module():
    heavy = "torch numpy requests rich memlm.data.fetch.get"
    code = "import sys, memlm.data.catalog.datasets, memlm.cli.data\n"
    code += f"print([m for m in '{heavy}'.split() if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
