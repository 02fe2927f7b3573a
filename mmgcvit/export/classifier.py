"""A classifier as a graph."""

from mmpretrain.models import ClsHead, ImageClassifier
from torch import Tensor, nn

from ..inference import UserError


class ClassifierGraph(nn.Module):
    """A classifier of mmpretrain's.

    Args:
        model: In eval mode.

    Raises:
        UserError: It is none, or its scores are no softmax.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        head = getattr(model, 'head', None)
        if not isinstance(model, ImageClassifier) or not is_softmax(head):
            raise UserError(
                f'the classifier is a {type(model).__name__} with the head {type(head).__name__}; exported is '
                'ImageClassifier with a head of one label by softmax, such as LinearClsHead'
            )
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) to scores (B, K), of each image 1 in all."""
        return self.model(images, mode='tensor').softmax(-1)


def is_softmax(head: nn.Module | None) -> bool:
    """Whether a head's scores are the softmax of what it computes."""
    return isinstance(head, ClsHead) and type(head)._get_predictions is ClsHead._get_predictions
