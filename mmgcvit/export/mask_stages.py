"""The mask heads of a detector as a part of a graph.

Legend: n objects, K classes, h x w mask.
"""

from collections.abc import Sequence

import torch
from mmdet.models import FCNMaskHead
from torch import Tensor, nn

from ..inference import UserError
from .roi_features import RoIFeatures


class MaskStages(nn.Module):
    """Masks of objects, inside their boxes. Of several heads, as Cascade has them, their average.

    Args:
        heads: The detector's.
        extractors: Their RoI extractors.

    Raises:
        UserError: A head is another one than FCNMaskHead.
    """

    def __init__(self, heads: Sequence[nn.Module], extractors: Sequence[nn.Module]) -> None:
        super().__init__()
        for head in heads:
            if type(head) is not FCNMaskHead:
                raise UserError(f'the detector has the mask head {type(head).__name__}; exported is FCNMaskHead')
        self.is_class_agnostic = heads[0].class_agnostic
        self.heads = nn.ModuleList(heads)
        self.features = nn.ModuleList(RoIFeatures(extractor) for extractor in extractors)

    def forward(self, maps: tuple[Tensor, ...], rois: Tensor, labels: Tensor) -> Tensor:
        """Maps (B, C, H_i, W_i), regions (n, 5) of image index and corners, and their classes (n,), to (n, h, w).

        Returns:
            Probabilities that a pixel of the box is the object's.
        """
        # Convolutions of no region at all are nothing that every runtime takes: one goes along, and is left out.
        rois = torch.cat([rois, rois.new_zeros(1, 5)])
        masks = [head(features(maps, rois)).sigmoid() for head, features in zip(self.heads, self.features, strict=True)]
        masks = (sum(masks) / len(masks))[:-1]
        if self.is_class_agnostic:
            return masks[:, 0]
        chosen = labels[:, None, None, None].expand(-1, -1, *masks.shape[2:])
        return masks.gather(1, chosen)[:, 0]
