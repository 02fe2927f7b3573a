"""Load the model of a command, which has checked its arguments before it imports this module."""

from ..device import check_gpus, disable_cudnn_attention
from ..inference.loading import load_model, silence_output
from ..inference.model_files import ModelFiles
from ..inference.predictor import Predictor


def load_silently(files: ModelFiles, device: str, score_thr: float | None = None) -> Predictor:
    """Load a model without printing.

    Raise a UserError if torch cannot use the GPU, or as :func:`mmgcvit.load` does.
    """
    if device == 'auto':
        check_gpus()
    disable_cudnn_attention()
    checkpoint = files.read_checkpoint()  # which may warn
    with silence_output():
        return load_model(files, checkpoint, device, score_thr)
