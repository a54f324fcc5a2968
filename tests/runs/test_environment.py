"""What is noted of where a result was made."""

import json
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
import torch

from memlm import kernels
from memlm.runs import environment


def test_it_says_what_is_here(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/memlm", "train", "--hops", "3"])
    found = environment.environment()
    assert found["command"] == ["memlm", "train", "--hops", "3"]
    assert found["torch"] == torch.__version__
    assert found["threads"] == torch.get_num_threads()
    assert found["kernels"] == kernels.described()
    assert (found["gpu"] is not None) == torch.cuda.is_available()
    assert datetime.fromisoformat(found["date"]).utcoffset() is not None
    assert json.loads(json.dumps(found)) == found


def git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=me", "-c", "user.email=me@here", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_commit_is_that_of_the_checkout_and_says_if_files_were_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    module = tmp_path / "environment.py"
    module.write_text("")
    monkeypatch.setattr(environment, "__file__", str(module))
    assert environment.commit() is None
    git(tmp_path, "init")
    assert environment.commit() is None  # a checkout of something else
    git(tmp_path, "add", "environment.py")
    git(tmp_path, "commit", "-m", "first")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert re.fullmatch("[0-9a-f]{40}", head)
    assert environment.commit() == head
    (tmp_path / "untracked").touch()
    assert environment.commit() == head
    module.write_text("changed")
    assert environment.commit() == head + "+"


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    assert environment.commit() is None
