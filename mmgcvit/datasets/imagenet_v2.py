"""ImageNetV2 (Recht et al., 2019): three new test sets for ImageNet classifiers."""

from pathlib import Path
from typing import Any

from mmpretrain.datasets import ImageNet

from ..registry import DATASETS


@DATASETS.register_module()
class ImageNetV2(ImageNet):
    """An ImageNetV2 set as its authors publish it: folders ``0`` to ``999``, each named by its class's number.

    mmpretrain's own classes sort folders as text (0, 1, 10, 100, ...) and would give nearly every image a wrong label.
    """

    def load_data_list(self) -> list[dict[str, Any]]:
        """The images with the labels that their folders' names are."""
        images = super().load_data_list()
        for image in images:
            image['gt_label'] = int(Path(image['img_path']).parent.name)
        return images
