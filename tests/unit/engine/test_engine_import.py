"""The package is cheap to import and shows three names."""

from __future__ import annotations

import subprocess
import sys

import pytest

import sfteval.engine


def test_importing_the_package_imports_no_torch():
    code = "import sys, sfteval.engine; sfteval.engine.ModelLimits(5, 6); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_public_names():
    assert sfteval.engine.__all__ == ["Engine", "EngineStats", "ModelLimits"]
    assert sfteval.engine.Engine.__name__ == "Engine"
    with pytest.raises(AttributeError, match="has no attribute 'Motor'"):
        _ = sfteval.engine.Motor
