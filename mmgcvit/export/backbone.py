"""A backbone as a graph."""

from torch import Tensor, nn


class BackboneGraph(nn.Module):
    """The backbone of any model.

    Args:
        model: In eval mode.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.backbone = model.backbone

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, 3, H, W) to its maps."""
        return tuple(self.backbone(images))
