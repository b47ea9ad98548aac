"""Root conftest: names the entry point of the plugin, so that it is there however pytest is started."""

pytest_plugins = ["sfteval", "pytester"]
