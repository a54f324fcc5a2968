"""A run that is cut off, by kill -9 at any instant or by its disk, ends as the run that was not, to the bit."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.repository import REPOSITORY

# fault: trials in make test, and in make soak. Of a run of one epoch the disk is full at each of its writes (120).
FAULTS = {
    "memn2n": {"kill": (1, 50), "kill-at": (0, 20), "full": (1, 20), "limit": (0, 5)},
    "restarts": {"kill": (1, 20), "kill-at": (0, 10), "full": (0, 10), "limit": (0, 5)},
    "lstm": {"kill": (0, 50), "kill-at": (1, 20), "limit": (1, 5)},
    "lstm-epoch": {"full": (1, 1000)},
}


@pytest.mark.soak
@pytest.mark.parametrize("model", FAULTS)
def test_a_run_that_is_cut_off_ends_as_the_one_that_was_not(
    model: str, rounds: Callable[[int, int], int], tmp_path: Path
):
    counts = {fault: rounds(*count) for fault, count in FAULTS[model].items()}
    asked = [f"{fault}={count}" for fault, count in counts.items() if count]
    result = subprocess.run(
        [sys.executable, "-m", "tests.helpers.crash_driver", str(tmp_path), model, "1", *asked],
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    print(result.stdout)
    assert [line["fault"] for line in lines] == [fault for fault, count in counts.items() if count]
    for line in lines:
        assert line["different"] == {}
        assert line["trials"] > 0
    assert sum(line["faults"] for line in lines) > 0
