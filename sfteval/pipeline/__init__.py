"""The only place that imports the stages and joins them. Rank 3.

`planning` (suite files to a plan; cheap, runs at collection) → `evaluate` (one model against the plan) → `release`
(candidate, base and previous to verdicts). Import the module that you need: `planning` must stay light.
"""
