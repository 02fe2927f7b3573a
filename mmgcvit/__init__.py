"""Vision transformers of local and global attention for OpenMMLab: importing the package registers its backbones,
and that hosts read checkpoints as data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .hosts.finder import serve_stand_ins
from .hosts.versions import answer_other_names, check_hosts

check_hosts()
serve_stand_ins()
answer_other_names()

from .checkpoints.for_hosts import register_reader  # noqa: E402  (beside missing hosts the check's message comes first)
from .models.gcvit import GCViT  # noqa: E402
from .models.lsa import LSA  # noqa: E402
from .version import __version__  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from .inference import Predictor

register_reader()


def load(
    config: str | Path,
    checkpoint: str | Path | None = None,
    device: str | None = None,
    score_thr: float | None = None,
    trust_checkpoint: bool = False,
) -> Predictor:
    """Load a trained model to call it on images; arguments and errors: :func:`mmgcvit.inference.load`."""
    # Hosts are imported where something is predicted, not with the package.
    from .inference import load

    return load(config, checkpoint, device, score_thr, trust_checkpoint)


__all__ = ['LSA', 'GCViT', '__version__', 'load']
