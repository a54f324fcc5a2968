"""`memlm doctor`."""

from dataclasses import asdict
from pathlib import Path

import click

from memlm import jsontext

MARKS = {True: "ok ", False: "BAD", None: " - "}


@click.command("doctor")
@click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="folder of the runs to check",
)
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def command(runs: Path, as_json: bool) -> int:
    """Check the installation, the data, the runs, and exact resume after kill -9. Takes up to a minute.

    The exit status is 0 if all is well. Otherwise it is 1, and the output says what to do.
    """
    from memlm.diagnostics import doctor

    checks = []
    for check in doctor.examine(runs):
        checks.append(check)
        if not as_json:
            remedy = f"; {check.remedy}" if check.remedy and not check.ok else ""
            click.echo(f"{MARKS[check.ok]} {check.name}: {check.found}{remedy}")
    bad = [check.name for check in checks if check.ok is False]
    if as_json:
        click.echo(jsontext.dumps({"ok": not bad, "checks": [asdict(check) for check in checks]}, indent=1))
    else:
        click.echo(f"not well: {', '.join(bad)}" if bad else "all is well")
    return 1 if bad else 0
