"""Dataset classes for configs: those of an OpenMMLab package that cannot be imported are left
out.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

from ..registry import DATASETS
from .label_maps import list_labels

with suppress(ImportError):
    from mmpretrain.datasets import ImageNet

    @DATASETS.register_module()
    class ImageNetV2(ImageNet):
        """An ImageNetV2 test set (Recht et al., 2019): a folder for each class, named by its index,
        0 to 999.

        mmpretrain's datasets sort folders as strings (0, 1, 10, 100, ...), which gives most images
        a wrong label. The arguments are those of mmpretrain's ``ImageNet``.
        """

        def load_data_list(self) -> list[dict[str, Any]]:
            images = super().load_data_list()
            for image in images:
                image['gt_label'] = int(Path(image['img_path']).parent.name)
            return images


with suppress(ImportError):
    from mmseg.datasets import BaseSegDataset

    @DATASETS.register_module()
    class PairedSegDataset(BaseSegDataset):
        """A dataset whose ``ann_file`` has a line for each image: its path, a tab, and its
        segmentation map's path.

        The paths are relative to ``data_prefix``. In mmseg's own datasets, all images and all maps
        have one suffix. Maps that a run on a folder of data has converted are beside the
        ``ann_file``, also after the run was renamed or moved. The other arguments are those of
        mmseg's ``BaseSegDataset``; its suffixes are not used.
        """

        def load_data_list(self) -> list[dict[str, Any]]:
            images = []
            # Names may have other characters at which splitlines would split.
            for line in Path(self.ann_file).read_text(encoding='utf-8').split('\n'):
                if line:
                    entry = {
                        'label_map': self.label_map,
                        'reduce_zero_label': self.reduce_zero_label,
                        'seg_fields': [],
                    }
                    # A line without exactly one tab raises a ValueError.
                    image, label_map = line.split('\t')
                    for key, name in {'img_path': image, 'seg_map_path': label_map}.items():
                        entry[key] = str(Path(self.data_prefix.get(key) or '', name))
                    entry['seg_map_path'] = self.locate_map(entry['seg_map_path'])
                    images.append(entry)
            return images

        def locate_map(self, path: str) -> str:
            """Return the path of a map: that in the folder of the ``ann_file`` if this folder has
            the name of one above the map and has the map too, else the path itself.
            """
            folder = Path(self.ann_file).parent
            parts = Path(path).parts
            for position, part in enumerate(parts):
                beside = folder.joinpath(*parts[position + 1 :])
                if part == folder.name and beside.is_file():
                    return str(beside)
            return path

        def get_cat_ids(self, idx: int) -> list[int]:
            """Return the classes in the map of an image, for mmengine's ClassBalancedDataset."""
            classes = range(len(self.metainfo['classes']))
            return sorted(list_labels(self.get_data_info(idx)).intersection(classes))
