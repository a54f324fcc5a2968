"""The run folder."""

from pathlib import Path

from tests.helpers.command_line import SMALL, Memlm


def test_a_run_that_was_cut_off_in_its_first_file_can_begin_again(memlm: Memlm, corpus: Path):
    Path("runs/a").mkdir(parents=True)
    Path("runs/a/env.json.new").write_text('{"da')
    assert memlm("train", "--dataset", corpus, *SMALL, "--run-dir", "runs/a").exit_code == 0
    assert not Path("runs/a/env.json.new").exists()
