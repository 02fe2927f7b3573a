"""Load a trained model by its name: :func:`mmgcvit.load`.

Wrong paths are rejected before torch and OpenMMLab's packages are imported, which takes seconds.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .model_files import find_model_files
from .thresholds import ScoreThr

if TYPE_CHECKING:
    from .predictor import Predictor


def load(
    config: str | Path,
    checkpoint: str | Path | None = None,
    device: str | None = None,
    score_thr: ScoreThr | None = None,
) -> 'Predictor[Any]':
    """Load a trained model.

    Args:
        config: A config file, or the work dir of a run.
        checkpoint: A file or URL. Code in it is not run. Default: the work dir's best or newest
            checkpoint, or the weights shipped with a config of this project.
        device: ``'cpu'``, ``'cuda'`` or ``'cuda:N'``. Default: a GPU if there is one, else the CPU.
        score_thr: Confidence threshold, only for detectors: a number for all classes, or a
            mapping with numbers for some classes by name. Default, also of the classes that a
            mapping does not name: what a training on a folder of data has
            chosen for the checkpoint, else 0.3.

    Raises:
        UserError: The config, checkpoint or device does not exist, the task of the config is not
            supported, or ``score_thr`` is invalid, names a class that the model does not have, or
            is set for a model that is not a detector.
        CheckpointError: The checkpoint cannot be read, or does not fit the config's model.
    """
    files = find_model_files(config, checkpoint)
    # These imports take seconds. The first checks the versions of torch, mmengine and mmcv.
    from .. import registry  # noqa: F401
    from .loading import load_model

    return load_model(files, files.read_checkpoint(), device, score_thr)
