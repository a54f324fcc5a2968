"""Importing datasets, what lies in their place, and counting. Mirrors: test_mirrors.py; archives: test_unpack.py."""

import json
import shutil

import pytest

from memlm.data.catalog.entries import SPLITS, DataFile
from memlm.data.corpus.reading import size_of
from memlm.data.fetch import check, get, staging
from memlm.data.stories.generate import generate_stories
from memlm.errors import MemlmError
from tests.helpers.mirrors import BOGUS, CHARS, HTML, TEXTS, assert_whole, fails, toy, zipped

# -- import


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "is empty"),
        (HTML, "is an HTML page"),
        (CHARS, "is character-level text"),
        (b"a cat \xff sat\n", r"is not UTF-8 text (byte 6)"),
        (b"a cat sat\n", "10 bytes instead of 920"),
        (b"the cow sat\non the mat\n" * 40, "sha256"),
        (b"the cat sat\non the mat\n" * 41, "more than 920 bytes"),
    ],
)
def test_a_wrong_file_is_named_with_its_fault(root, source, text, reason):
    (source / "toy.train.txt").write_bytes(text)
    message = fails("toy", source=str(source))
    assert "toy.train.txt" in message
    assert reason in message


def test_counts_are_checked_beside_the_hash(root, add, source):
    dataset = toy(BOGUS)
    wrong = DataFile(path="toy.valid.txt", tokens=5)
    add(toy(BOGUS, files=(wrong, *(file for file in dataset.files if file.path != wrong.path))))
    assert "toy.valid.txt has 4 tokens instead of 5" in fails("toy", source=str(source))


# -- what lies there, and atomicity


def test_what_a_user_put_there_is_never_written_over(root, source):
    (root / "toy").mkdir(parents=True)
    (root / "toy/toy.train.txt").write_bytes(b"mine\n")
    message = fails("toy", source=str(source))
    assert f"{root}/toy/toy.train.txt is not the known file" in message
    assert f"mv {root}/toy {root}/toy.old" in message
    assert (root / "toy/toy.train.txt").read_bytes() == b"mine\n"
    with pytest.raises(MemlmError, match="is not the known file"):
        get.get_dataset("toy")


def test_right_files_put_there_by_hand_are_taken_as_they_are(root, source):
    shutil.copytree(source, root / "toy")
    assert get.get_dataset("toy") == root / "toy"
    assert set(TEXTS) == set(json.loads((root / "toy" / check.MANIFEST).read_text()))


def test_a_start_is_cheap_and_a_change_is_still_seen(root, source, monkeypatch):
    get.get_dataset("toy", source=str(source))
    with monkeypatch.context() as patch:
        patch.delattr(check, "scan")
        assert get.get_dataset("toy") == root / "toy"
    (root / "toy/toy.test.txt").write_bytes(b"the cow ran\nfar\n")  # the same size
    with pytest.raises(MemlmError, match=r"toy\.test\.txt is not the known file: sha256"):
        get.get_dataset("toy")
    (root / "toy/toy.test.txt").unlink()
    assert [result.problem for result in get.verify("toy") if not result.ok] == ["is missing"]


def test_a_damaged_manifest_only_costs_a_check(root, source):
    get.get_dataset("toy", source=str(source))
    for text in ("", "[]", '{"files": {"toy.train.txt": 3}}', "\x00"):
        (root / "toy" / check.MANIFEST).write_text(text)
        assert get.get_dataset("toy") == root / "toy"


def test_ctrl_c_and_a_full_disk_leave_nothing(root, source, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    def full(*_, **__):
        raise OSError(28, "No space left on device", "toy.valid.txt")

    monkeypatch.setattr(get, "write_manifest", interrupted)
    with pytest.raises(KeyboardInterrupt):
        get.get_dataset("toy", source=str(source))
    assert list(root.iterdir()) == []
    monkeypatch.setattr(staging, "save_chunks", full)
    assert fails("toy", source=str(source)) == "cannot read or write toy.valid.txt: No space left on device"


def test_a_quicker_process_wins_and_both_end_well(root, source, monkeypatch):
    real = check.write_manifest

    def meanwhile(folder, *rest):
        real(folder, *rest)
        if not (root / "toy").exists():
            shutil.copytree(folder, root / "toy")

    monkeypatch.setattr(get, "write_manifest", meanwhile)
    assert get.get_dataset("toy", source=str(source)) == root / "toy"
    assert_whole(root / "toy")


def test_a_file_in_the_place_of_the_folder_is_said(root, source):
    root.mkdir()
    (root / "toy").write_text("x")
    assert "it is not a folder" in fails("toy", source=str(source))
    shutil.rmtree(root)
    root.write_text("x")
    assert "cannot read or write" in fails("toy", source=str(source))


# -- counting


# -- the real ones


def test_stories_are_generated_with_their_floor(root):
    assert "generated, not imported" in fails("stories", source=str(root))
    said: list[str] = []
    get.get_dataset("stories", say=said.append)
    assert said == [f"stories is there and verified: {root / 'stories'}"]
    assert all(result.ok for result in get.verify("stories"))
    floors = {split: facts["floor_perplexity"] for split, facts in get.entropy_floors("stories").items()}
    assert floors == pytest.approx({split: made.floor_perplexity for split, made in generate_stories().items()})


def test_the_real_ptb(root, tmp_path, real_data):
    folder = real_data / "ptb"
    get.get_dataset("ptb", source=str(folder))
    assert [result.tokens for result in get.verify("ptb")] == [929_589, 73_760, 82_430]
    assert get.split_files("ptb")["valid"].path == root / "ptb/ptb.valid.txt"
    assert get.entropy_floors("ptb") == {}
    shutil.rmtree(root)
    characters = " _ ".join(" ".join(w) for w in (folder / "ptb.valid.txt").read_text().split()[:300])
    (tmp_path / "chars").mkdir()
    for name in ("ptb.char.train.txt", "ptb.train.txt"):
        (tmp_path / "chars" / name).write_text(characters)
        assert "character-level" in fails("ptb", source=str(tmp_path / "chars"))


def test_the_real_babi_without_its_missing_file(root, real_data):
    said: list[str] = []
    get.get_dataset("babi", source=str(real_data / "babi"), say=said.append)
    assert said[0] == "left out (optional): en-10k/qa3_three-supporting-facts_train.txt is missing"
    assert len(list((root / "babi").rglob("*.txt"))) == 79
    with pytest.raises(MemlmError, match="can't be trained on as it is"):
        get.split_files("babi")


def test_the_head_of_text8_is_recognised(root, real_data):
    head = real_data / "text8/text8.head.gz"
    message = fails("text8", source=str(head))
    assert "only the first 6,877,825 bytes of text8" in message


def test_a_head_of_text8_is_a_dataset_of_its_own_name(root, real_data, tmp_path):
    place = get.get_dataset("text8-head", source=str(real_data / "text8/text8.head.gz"))
    assert place == root / "text8-head"
    splits = get.split_files("text8-head")
    sizes = [size_of(text) for text in splits.values()]
    for size, share in zip(sizes, (0.933, 0.057, 0.01), strict=True):
        assert abs(size - 6_877_825 * share) < 20  # a word
    assert sum(sizes) == 6_877_825
    other = tmp_path / "other"
    other.write_text("any other text of one line")
    (root / "text8-head").rename(root / "away")
    assert "does not begin with " in fails("text8-head", source=str(other))
    other.write_text(" anarchism originated as a term of abuse\n in two lines")
    assert "has 2 lines instead of 1" in fails("text8-head", source=str(other))
    assert "can only be imported: memlm data get text8 --from FILE --head" in fails("text8-head")


def test_the_raw_form_of_wikitext_is_another_thing(root, tmp_path):
    raw = tmp_path / "wikitext-2-raw-v1.zip"
    raw.write_bytes(zipped({"wikitext-2-raw/wiki.train.raw": b" = Title = \n"}))
    assert "wiki.train.raw is the raw form of WikiText; the tokenised one is needed" in fails(
        "wikitext-2", source=str(raw)
    )
    other = tmp_path / "wikitext-2-v1.zip"
    other.write_bytes(zipped({f"wikitext-2/wiki.{split}.tokens": b" = Title = \n" for split in SPLITS}))
    message = fails("wikitext-2", source=str(other))
    assert "wiki.train.tokens is not the known file: sha1" in message
    assert "instead of 863f29c46ef9" in message
