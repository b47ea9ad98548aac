"""`python -m sfteval`."""

from sfteval.cli import main

main()
