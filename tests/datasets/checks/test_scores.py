"""Scores on data without objects or of one class say nothing."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from mmseg.datasets.transforms import LoadAnnotations

from mmgcvit.datasets.checks.scores import find_unscored

from ...own.data.formats.made import write


class Samples(list):
    """What OpenMMLab's datasets tell about each image."""

    metainfo = {'classes': ('cat', 'dog', 'cow')}  # noqa: RUF012
    get_data_info = list.__getitem__


@given(st.lists(st.lists(st.booleans(), max_size=3)), st.lists(st.integers(0, 2), min_size=1))
def test_detections_need_an_object_that_is_not_ignored_and_images_two_classes(flags, labels):
    samples = Samples(
        {'instances': [{'ignore_flag': int(flag)} for flag in image]} for image in flags
    )
    assert bool(find_unscored(samples)) == (bool(flags) and all(map(all, flags)))
    assert bool(find_unscored(Samples({'gt_label': label} for label in labels))) == (
        len({*labels}) < 2
    )


@given(
    st.lists(st.lists(st.sampled_from([0, 1, 2, 3, 255]), min_size=1), min_size=1, max_size=3),
    st.booleans(),
    st.sampled_from([None, {0: 1, 1: 255, 2: 0, 3: 2}, {0: 255, 1: 0, 2: 255, 3: 1}]),
)
def test_pixels_need_two_classes(images, reduce_zero_label, label_map):
    """The labels are those that mmseg loads."""
    found = set()
    samples = Samples()
    with TemporaryDirectory() as folder:
        for number, values in enumerate(images):
            path = Path(folder, f'{number}.png')
            write(path, np.array([values, values] * 2, np.uint8).repeat(2, axis=1))
            sample = {'seg_map_path': str(path), 'label_map': label_map}
            samples.append({**sample, 'reduce_zero_label': reduce_zero_label})
            loaded = LoadAnnotations()({**samples[-1], 'seg_fields': []})
            found.update(np.unique(loaded['gt_seg_map']).tolist())
        assert bool(find_unscored(samples)) == (len(found & {0, 1, 2}) < 2)
        path.unlink()
        assert find_unscored(samples) is None, 'a map that cannot be read is reported elsewhere'
