"""The data folder: where it is, and scratch folders in it."""

from pathlib import Path

import pytest

from memlm.data.storage import data_root, scratch_folder


def test_the_data_folder_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MEMLM_DATA", "~/texts")
    monkeypatch.setenv("HOME", "/home/me")
    assert data_root() == Path("/home/me/texts")
    monkeypatch.setenv("MEMLM_DATA", "")
    assert data_root() == Path("data")
    monkeypatch.delenv("MEMLM_DATA")
    assert data_root() == Path("data")


def test_a_scratch_folder_is_empty_and_gone_at_the_end(tmp_path: Path):
    target = tmp_path / "data" / "toy"
    left = target.with_name(".memlm-toy.partial") / "half"
    left.mkdir(parents=True)
    with scratch_folder(target, "getting toy") as scratch:
        assert list(scratch.iterdir()) == []
        assert scratch.parent == target.parent  # so that a rename is enough
        (scratch / "toy").write_text("whole")
        (scratch / "toy").rename(target)
    assert [path.name for path in target.parent.iterdir()] == ["toy"]


def fail_half_way(target: Path) -> None:
    with scratch_folder(target, "getting toy") as scratch:
        (scratch / "half").touch()
        raise KeyError


def test_nothing_is_left_of_what_failed(tmp_path: Path):
    with pytest.raises(KeyError):
        fail_half_way(tmp_path / "toy")
    assert list(tmp_path.iterdir()) == []
