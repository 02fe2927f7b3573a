"""Complete the weights of ``load_from`` by the model's initial values, and log what was loaded."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...checkpoints.class_rows import InitialWeights
from ...host.runners import unwrap_model
from .progress import SHOWN


class InitialWeightsHook(Hook):
    """Log a line about ``load_from``, with ``--progress`` too, and give mmengine a complete state
    dict, so that it does not list each tensor that keeps its initial value.

    Args:
        weights: What :func:`.select_initial` has selected.
    """

    def __init__(self, weights: InitialWeights):
        self.weights = weights

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        initial = unwrap_model(runner).state_dict()
        checkpoint['state_dict'] = self.weights.complete(checkpoint['state_dict'], initial)
        runner.logger.info(self.weights.report, extra=SHOWN)
