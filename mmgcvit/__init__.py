"""Global-context vision transformers for OpenMMLab: importing the package registers its backbones."""

from .requirements import check_hosts

check_hosts()

from .gcvit import GCViT  # noqa: E402  (beside missing hosts the check's message comes first)
from .version import __version__  # noqa: E402

__all__ = ['GCViT', '__version__']
