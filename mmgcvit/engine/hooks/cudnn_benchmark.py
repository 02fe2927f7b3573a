"""Let cuDNN time its kernels in training only."""

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.backends import cudnn


class CudnnBenchmarkHook(Hook):
    """Switch off ``env_cfg.cudnn_benchmark`` in validations and tests.

    Their images have many sizes, and cuDNN would time its kernels for each of them.
    """

    def before_val(self, runner: Runner) -> None:
        self.in_training = cudnn.benchmark
        cudnn.benchmark = False

    def after_val(self, runner: Runner) -> None:
        cudnn.benchmark = self.in_training

    before_test = before_val
    after_test = after_val
