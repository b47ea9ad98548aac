"""`sfteval lm-eval …`: lm-eval's own command line with our engine as its model."""

from __future__ import annotations

import sys

import typer

from sfteval.cli.app import app

MODEL = "--model"


@app.command(
    "lm-eval",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
def lm_eval(context: typer.Context) -> None:
    """lm-eval's own command line (`run`, `ls`, `validate`), with `--model sfteval` unless another one is named.

    For example: `sfteval lm-eval run --model_args pretrained=DIR,peft=ADAPTER --tasks arc_easy --num_fewshot 5`
    """
    arguments = list(context.args)
    if arguments and arguments[0].startswith("--") and arguments[0] != "--help":
        arguments.insert(0, "run")  # lm-eval's own older form
    named = any(each == MODEL or each.startswith(f"{MODEL}=") for each in arguments)
    if arguments[:1] == ["run"] and len(arguments) > 1 and not named:
        arguments[1:1] = [MODEL, "sfteval"]
    from sfteval.lmeval import run_command

    sys.argv = ["lm-eval", *arguments]
    run_command()
