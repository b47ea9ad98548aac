"""Suites while Axolotl trains: name this class under `plugins` in the YAML."""

from axolotl.integrations.base import BasePlugin

from sfteval.hooks import SuiteCallback


class SuitePlugin(BasePlugin):
    """Adds the callback to Axolotl's Trainer."""

    def add_callbacks_post_trainer(self, cfg, trainer):
        """Return callbacks that need the Trainer to exist."""
        return [SuiteCallback("suites/", every=50)]
