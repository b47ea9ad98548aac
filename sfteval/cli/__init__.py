"""The `sfteval` command. Rank 4, no logic: options in, one call into the pipeline, tables or JSON out.

Each module adds its commands to `app` when imported.
Exit codes: 0 done or ship, 1 do not ship, 2 a mistake in what was given, 20 open, 21 broke.
"""

import sys

import typer

from sfteval.cli import (  # noqa: F401  (order of --help)
    accepting,
    audit,
    evaluation,
    interchange,
    judge,
    lm_eval,
    project,
    reporting,
    runs,
    score,
    training,
)
from sfteval.cli.app import app
from sfteval.errors import SftevalError


def main() -> None:
    """Run the command; a person's mistake ends in one message and a non-zero exit."""
    try:
        app()
    except SftevalError as error:
        typer.secho(f"sfteval: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(1)
