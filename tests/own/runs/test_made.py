"""A run on folders of data is called like them."""

import pytest

from mmgcvit.own.runs.made import choose_run_name, choose_work_dir


@pytest.mark.parametrize(
    ('data', 'name'), [('photos', 'photos'), ('my photos/', 'my_photos'), ('/', 'own_data')]
)
def test_a_run_has_the_name_of_its_data(data, name):
    assert choose_run_name([data]) == name
    assert str(choose_work_dir([data], None)) == f'work_dirs/{name}'


def test_the_name_of_a_run_on_many_folders_fits():
    assert choose_run_name(['a b', 'c']) == 'a_b_c'
    name = choose_run_name([f'a folder with a long name {number}' for number in range(30)])
    assert name == 'a_folder_with_a_long_name_0_and_29_more'
