"""Let cuDNN time its kernels in training only."""

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

CUDNN = torch.backends.cudnn


class CudnnBenchmarkHook(Hook):
    """Switch off ``env_cfg.cudnn_benchmark`` in validations and tests.

    Their images have many sizes, and cuDNN would time its kernels for each of them.
    """

    def before_val(self, runner: Runner) -> None:
        self.in_training, CUDNN.benchmark = CUDNN.benchmark, False

    def after_val(self, runner: Runner) -> None:
        CUDNN.benchmark = self.in_training

    before_test, after_test = before_val, after_val
