"""Labels of ImageNetV2 are its folders' names."""

from pathlib import Path

from mmgcvit.datasets.dataset_classes import ImageNetV2

from ..own.data.formats.made import write


def test_labels_of_imagenet_v2_are_the_folder_names(tmp_path):
    for number in range(1000):
        write(tmp_path / str(number) / 'a.jpeg', '')
    images = ImageNetV2(data_root=str(tmp_path)).load_data_list()
    labels = {Path(image['img_path']).parent.name: image['gt_label'] for image in images}
    assert labels == {str(number): number for number in range(1000)}
