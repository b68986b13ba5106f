"""An experiment: its config, and its run."""

from pathfinder.experiment.config import Config
from pathfinder.experiment.config_file import load_config
from pathfinder.experiment.run import Experiment

__all__ = ["Config", "Experiment", "load_config"]
