"""Models for commands, on a machine that is looked at first."""

from mmengine.config import Config

from ..hosts.machine import check_gpus
from ..hosts.operators import check_operators, check_operators_load
from .loading import load
from .predictor import Predictor
from .sources import Source


def load_for_command(
    source: Source, device: str, score_thr: float | None = None, trust_checkpoint: bool = False
) -> Predictor:
    """Load a model once GPUs that torch does not see, and operators that do not go with torch or the GPU, are said.

    Args:
        source: Config and checkpoint.
        device: ``'auto'``, ``'cpu'``, ``'cuda'``, ``'cuda:N'``.
        score_thr: As :func:`load` takes it.
        trust_checkpoint: Likewise.

    Raises:
        UserError, CheckpointError: See :func:`load`.
        SystemExit: The operators do not serve.
    """
    if device == 'auto':
        check_gpus()
    check_operators_load()
    model = load(source.config, source.checkpoint, device, score_thr, trust_checkpoint)
    if model.device.type == 'cuda':
        check_operators(Config({'default_scope': model.scope}))
    return model
