"""Load the model of a command, which has checked its arguments before it imports this module."""

from collections.abc import Sequence

from ..host.device import check_gpus, disable_cudnn_attention
from ..host.runners import silence_output
from ..predict.loading import load_model
from ..predict.model_files import ModelFiles
from ..predict.predictor import Predictor
from ..predict.thresholds import ScoreThr


def load_silently(files: ModelFiles, device: str, score_thr: Sequence[ScoreThr] = ()) -> Predictor:
    """Load a model without printing.

    ``score_thr`` are a detector's confidence thresholds, each of which overrides those before.
    Raise a UserError if torch cannot use the GPU, or as :func:`mmgcvit.load` does.
    """
    if device == 'auto':
        check_gpus()
    disable_cudnn_attention()
    checkpoint = files.read_checkpoint()  # which may warn
    with silence_output():
        model = load_model(files, checkpoint, device, score_thr[0] if score_thr else None)
    for thresholds in score_thr[1:]:
        model = model.with_score_thr(thresholds)
    return model
