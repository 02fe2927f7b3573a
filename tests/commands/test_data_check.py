"""Commands look at a config's data before they build anything."""

import pytest
from mmengine.config import Config

from mmgcvit.commands.data_check import check_data, is_first_of_node
from mmgcvit.errors import UserError

from ..datasets.checks.made import config, cut, write_coco, write_folders


class TestMissingData:
    @staticmethod
    def config(root, **dataset):
        return Config({'loader': {'dataset': {'data_root': str(root), 'ann_file': 'a.json', **dataset}}})

    def test_missing_coco_is_named_with_how_to_fill_it(self, tmp_path):
        root = tmp_path / 'coco'
        with pytest.raises(UserError) as refusal:
            check_data(self.config(root, data_prefix={'img': 'train2017/'}), ['loader'])
        message = str(refusal.value)
        assert str(root / 'a.json') in message
        assert str(root / 'train2017') in message
        assert 'cocodataset.org' in message
        assert 'ln -s' in message

    def test_missing_digits_say_how_to_make_them(self, tmp_path):
        with pytest.raises(UserError, match='mmgcvit digits '):
            check_data(self.config(tmp_path / 'digits' / 'coco'), ['loader'])

    @pytest.mark.parametrize('wrap', [lambda d: {'dataset': d}, lambda d: {'datasets': [d, d]}])
    def test_wrapped_sets_are_looked_into(self, tmp_path, wrap):
        cfg = self.config(tmp_path)
        cfg.loader.dataset = wrap(cfg.loader.dataset)
        with pytest.raises(UserError, match=r'a\.json'):
            check_data(cfg, ['loader'])

    @pytest.mark.parametrize(
        ('dataset', 'missing'),
        [
            ({'type': 'ImageNet', 'data_root': '/nowhere/imagenet', 'split': 'val'}, '/nowhere/imagenet/val'),
            ({'type': 'CustomDataset', 'data_root': '/nowhere/own'}, '/nowhere/own'),
            ({'type': 'X', 'data_root': '/nowhere', 'ann_file': ['a', 'b']}, '/nowhere/b'),
        ],
    )
    def test_every_way_of_naming_data_is_understood(self, dataset, missing):
        with pytest.raises(UserError, match=missing):
            check_data(Config({'loader': {'dataset': dataset}}), ['loader'])

    @pytest.mark.parametrize(('name', 'folder'), [('CIFAR10', 'cifar-10-batches-py'), ('CIFAR100', 'cifar-100-python')])
    def test_cifar_that_may_not_be_downloaded_is_asked_for_by_its_folder(self, name, folder):
        dataset = {'type': name, 'data_root': f'/nowhere/{name.lower()}', 'download': False}
        with pytest.raises(UserError, match=rf'/nowhere/{name.lower()}/{folder}(.|\n)*kriz/cifar'):
            check_data(Config({'loader': {'dataset': dataset}}), ['loader'])


class TestDataThatIsThere:
    def test_whole_data_pass_without_a_word(self, tmp_path, capsys):
        check_data(config(write_coco(tmp_path)), ['train_dataloader', 'a_loader_that_the_config_lacks'])
        assert capsys.readouterr().err == ''

    @pytest.mark.parametrize('download', [True, False])
    def test_sets_that_download_themselves_are_left_to_it(self, download, tmp_path, capsys):
        (tmp_path / 'cifar-10-batches-py').mkdir()
        settings = {'type': 'CIFAR10', 'data_root': str(tmp_path), 'download': download}
        check_data(config(settings), ['train_dataloader'])
        assert 'not looked into' in capsys.readouterr().err

    def test_data_on_a_server_are_not_looked_for_here(self, capsys):
        settings = {'type': 'CocoDataset', 'data_root': 's3://bucket/coco/', 'ann_file': 'a.json'}
        check_data(config(settings), ['train_dataloader'])
        assert 'not looked into' in capsys.readouterr().err

    def test_what_would_stop_the_run_is_refused_by_name(self, tmp_path):
        settings = write_coco(tmp_path)
        cut(tmp_path / 'images' / 'b.jpg')
        with pytest.raises(UserError, match=r'images/b\.jpg.*\n.*mmgcvit check-data'):
            check_data(config(settings), ['train_dataloader'])

    def test_what_is_repaired_is_said(self, tmp_path, capsys):
        settings = write_coco(tmp_path)
        settings['pipeline'] = [{'type': 'LoadImageFromFile'}]
        settings['filter_cfg'] = {'min_size': 32}
        (tmp_path / 'train.json').write_text((tmp_path / 'train.json').read_text().replace('[2, 3, 10', '[-9, 3, 20'))
        check_data(config(settings), ['train_dataloader'])
        assert 'partly outside of the image (3: annotation 10' in capsys.readouterr().err

    def test_without_images_to_open_annotations_are_looked_at_still(self, tmp_path):
        cfg = config(write_coco(tmp_path))
        cfg.data_checks = {'images': 0}
        cut(tmp_path / 'images' / 'b.jpg')
        check_data(cfg, ['train_dataloader'])
        (tmp_path / 'images' / 'b.jpg').unlink()
        with pytest.raises(UserError, match=r'missing.*images/b\.jpg'):
            check_data(cfg, ['train_dataloader'])

    @pytest.mark.parametrize('settings', [{'imgs': 3}, {'images': -1}, {'damaged_images': 1.5}, {'images': True}])
    def test_settings_that_are_none_are_refused(self, settings, tmp_path):
        cfg = config(write_folders(tmp_path))
        cfg.data_checks = settings
        with pytest.raises(UserError, match='whole numbers of at least 0 for images and damaged_images'):
            check_data(cfg, ['train_dataloader'])


@pytest.mark.parametrize(
    ('launcher', 'environment', 'first'),
    [
        ('none', {}, True),
        ('none', {'LOCAL_RANK': '3'}, True),
        ('pytorch', {'LOCAL_RANK': '0'}, True),
        ('pytorch', {'LOCAL_RANK': '1'}, False),
        ('slurm', {'SLURM_LOCALID': '1', 'LOCAL_RANK': '0'}, False),
    ],
)
def test_on_each_node_one_process_looks(launcher, environment, first, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_first_of_node(Config({'launcher': launcher})) is first
