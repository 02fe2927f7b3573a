"""Find out whether scores on a dataset say anything."""

from pathlib import Path
from typing import Any

import numpy as np

from .decoding import read_segmentation_map


def find_unscored(dataset: Any) -> str | None:
    """Return what makes scores on a dataset of an OpenMMLab package meaningless, or None (also for other datasets).

    Detections need an object that is not ignored. Images and pixels need two classes, because a model that always
    predicts the only one would be perfect. Samples are read until these are found.
    """
    found, problem = set(), None
    for index in range(len(dataset) if hasattr(dataset, 'get_data_info') else 0):
        info = dataset.get_data_info(index)
        if 'instances' in info:
            problem = 'no objects, except ignored ones'
            found |= {0, 1} if any(not instance.get('ignore_flag') for instance in info['instances']) else set()
        elif 'gt_label' in info or (info.get('seg_map_path') and 'reduce_zero_label' in info):
            problem = 'labels of at most one class'
            found |= list_labels(info) & {*range(len(dataset.metainfo.get('classes') or range(255)))}
        if not problem or len(found) > 1:
            return None
    return problem


def list_labels(info: dict[str, Any]) -> set[int]:
    """Return the labels of an image, or those in its segmentation map for mmseg. If it cannot be read, return all."""
    if 'gt_label' in info:
        return {*np.ravel(info['gt_label']).tolist()}
    try:
        labels = np.unique(read_segmentation_map(Path(info['seg_map_path']))).tolist()
    except Exception:  # the map is on a server, or damaged, which the validation reports
        return {*range(255)}
    return {(info.get('label_map') or {}).get(label, label) - bool(info['reduce_zero_label']) for label in labels}
