"""Training: a config and a model in, a checkpoint with its manifest out.

`load_config` reads the config, `train` runs it. Importing this package is cheap; torch comes in when a training starts.
"""

from sfteval.train.config import TrainingConfig, load_config
from sfteval.train.loading import ModelSource
from sfteval.train.run import train
from sfteval.train.trained import CurvePoint, Trained

__all__ = ["CurvePoint", "ModelSource", "Trained", "TrainingConfig", "load_config", "train"]
