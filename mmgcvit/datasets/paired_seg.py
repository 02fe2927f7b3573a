"""Load segmentation datasets whose annotation file lists pairs of an image and a segmentation map."""

from pathlib import Path
from typing import Any

from mmseg.datasets import BaseSegDataset

from ..registry import DATASETS


@DATASETS.register_module()
class PairedSegDataset(BaseSegDataset):
    """A dataset whose ``ann_file`` has a line for each image: its path, a tab, and the path of its segmentation map.

    The paths are relative to ``data_prefix``. mmseg's own datasets need one suffix for all images and one for all maps.
    """

    def load_data_list(self) -> list[dict[str, Any]]:
        """Return the images and their maps, with the keys that mmseg's transforms read."""
        folders = [Path(self.data_prefix.get(key) or '') for key in ('img_path', 'seg_map_path')]
        # Names may have other characters at which splitlines would split.
        lines = filter(None, Path(self.ann_file).read_text(encoding='utf-8').split('\n'))
        pairs = [[str(folder / name) for folder, name in zip(folders, line.split('\t'), strict=True)] for line in lines]
        shared = {'label_map': self.label_map, 'reduce_zero_label': self.reduce_zero_label}
        return [{'img_path': image, 'seg_map_path': map_path, **shared, 'seg_fields': []} for image, map_path in pairs]
