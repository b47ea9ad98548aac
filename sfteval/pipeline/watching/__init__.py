"""Suites on a model while it trains: what is asked, when, what follows.

`SuiteWatch` is the state machine; `sfteval.hooks` and `pipeline.training` hand it the Trainer's events.
"""

from sfteval.pipeline.watching.watch import Decision, SuiteWatch

__all__ = ["Decision", "SuiteWatch"]
