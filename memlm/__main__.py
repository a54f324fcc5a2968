"""`python -m memlm`."""

from memlm.cli import main

main(prog_name="memlm")
