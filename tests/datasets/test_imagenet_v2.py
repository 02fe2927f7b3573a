"""ImageNetV2 is labelled by its folder names, not by their alphabetical order."""

from mmgcvit.datasets.registered import ImageNetV2


def test_labels_are_the_folder_names(tmp_path):
    for number in range(1000):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / 'a.jpeg').touch()
    images = ImageNetV2(data_root=str(tmp_path)).load_data_list()
    assert [int(image['img_path'].split('/')[-2]) for image in images] == [image['gt_label'] for image in images]
    assert {image['gt_label'] for image in images} == {*range(1000)}
