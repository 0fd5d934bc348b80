"""`python -m infra` is `maft`."""

from infra.cli import main

main()
