"""Vision transformers of local and global attention for OpenMMLab: importing the package registers its backbones,
and that hosts read checkpoints as data.
"""

from .operators import serve_stand_ins
from .requirements import check_hosts

check_hosts()
serve_stand_ins()

from .checkpoints.for_hosts import register_reader  # noqa: E402  (beside missing hosts the check's message comes first)
from .gcvit import GCViT  # noqa: E402
from .lsa import LSA  # noqa: E402
from .version import __version__  # noqa: E402

register_reader()

__all__ = ['LSA', 'GCViT', '__version__']
