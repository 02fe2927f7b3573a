"""Load ImageNetV2 (Recht et al., 2019), three new test sets for ImageNet classifiers."""

from pathlib import Path
from typing import Any

from mmpretrain.datasets import ImageNet

from ..registry import DATASETS


@DATASETS.register_module()
class ImageNetV2(ImageNet):
    """An ImageNetV2 test set as its authors publish it: a folder for each class, named by its index, 0 to 999.

    mmpretrain's datasets sort folders as strings (0, 1, 10, 100, ...), which gives nearly every image a wrong label.
    """

    def load_data_list(self) -> list[dict[str, Any]]:
        """Return the images, labelled by the names of their folders."""
        images = super().load_data_list()
        for image in images:
            image['gt_label'] = int(Path(image['img_path']).parent.name)
        return images
