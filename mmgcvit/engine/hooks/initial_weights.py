"""Complete the weights of ``load_from`` by the model's initial values, and log what was loaded."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...mmengine_utils import unwrap_model
from .progress import SHOWN


class InitialWeightsHook(Hook):
    """Log a line about ``load_from``, with ``--progress`` too, and give mmengine a complete state
    dict, so that it does not list each tensor that keeps its initial value.

    Args:
        report: The line, of :func:`.select_initial`, which has selected the tensors.
    """

    def __init__(self, report: str):
        self.report = report

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        initial = unwrap_model(runner).state_dict()
        checkpoint['state_dict'] = {**initial, **checkpoint['state_dict']}
        runner.logger.info(self.report, extra=SHOWN)
