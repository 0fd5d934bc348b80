"""`python -m infra` is `maft`."""

from infra.cli.main import main

main()
