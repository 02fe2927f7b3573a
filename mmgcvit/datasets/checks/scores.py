"""Find datasets on which scores would mean nothing."""

from typing import Any

from ..label_maps import IGNORE_INDEX, list_labels


def find_unscored(dataset: Any) -> str | None:
    """Return what makes scores on a dataset meaningless, or None (also for unknown datasets).

    Detections need an object that is not ignored. Images and pixels need two classes, because a
    model that always predicts the only one would be perfect.
    """
    if not hasattr(dataset, 'get_data_info'):
        return None
    labels = set()
    problem = None
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        if 'instances' in info:
            if any(not instance.get('ignore_flag') for instance in info['instances']):
                return None
            problem = 'no objects, except ignored ones'
        elif 'gt_label' in info or (info.get('seg_map_path') and 'reduce_zero_label' in info):
            num_classes = len(dataset.metainfo.get('classes') or range(IGNORE_INDEX))
            labels |= list_labels(info).intersection(range(num_classes))
            if len(labels) > 1:
                return None
            problem = 'labels of at most one class'
        else:
            return None  # a dataset of another kind
    return problem
