"""Load the model of a command, which has checked its arguments before it imports this module."""

from ..device import check_gpus, disable_cudnn_attention
from ..inference.loading import load, silence_output
from ..inference.model_files import ModelFiles, read_model_checkpoint
from ..inference.predictor import Predictor


def load_model(files: ModelFiles, device: str, score_thr: float | None = None) -> Predictor:
    """Load a model without printing.

    Raise a UserError if torch cannot use the GPU, or as :func:`.inference.loading.load` does.
    """
    if device == 'auto':
        check_gpus()
    disable_cudnn_attention()
    checkpoint = read_model_checkpoint(files.checkpoint)  # which may warn
    with silence_output():
        return load(files.config, checkpoint, device, score_thr)
