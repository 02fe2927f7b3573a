"""What the tools share: options, precision, data checks."""

import argparse

import pytest
import torch
from mmengine.config import Config

from mmgcvit.cli.data_check import check_data
from mmgcvit.cli.operators_check import check_operators, check_operators_load
from mmgcvit.cli.options import load_config
from mmgcvit.cli.outputs import draw_predictions, dump_metric, enable_tta
from mmgcvit.cli.precision import enable_amp


def arguments(config, **changes):
    options = {'config': str(config), 'work_dir': None, 'cfg_options': None, 'launcher': 'none', 'local_rank': 0}
    return argparse.Namespace(**options | changes)


@pytest.fixture
def with_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)


@pytest.fixture
def without_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)


class TestOptions:
    @pytest.fixture
    def config(self, tmp_path):
        path = tmp_path / 'some_config.py'
        path.write_text('a = dict(b=1, c=2)')
        return path

    def test_the_work_dir_is_named_after_the_config(self, config):
        assert load_config(arguments(config)).work_dir == 'work_dirs/some_config'

    def test_the_command_line_overrides_the_config(self, config):
        cfg = load_config(arguments(config, work_dir='here', cfg_options={'a.b': 3}))
        assert (cfg.work_dir, cfg.a.b, cfg.a.c) == ('here', 3, 2)

    def test_a_missing_config_is_named(self):
        with pytest.raises(SystemExit, match=r'no config nowhere\.py'):
            load_config(arguments('nowhere.py'))


class TestAmpOption:
    @pytest.mark.usefixtures('without_gpu')
    def test_without_a_gpu_it_is_refused(self):
        with pytest.raises(SystemExit, match=r'needs a GPU.*leave the option out'):
            enable_amp(Config({'optim_wrapper': {'type': 'OptimWrapper'}}))

    @pytest.mark.usefixtures('with_gpu')
    def test_it_turns_mixed_precision_on_and_keeps_what_the_config_says(self):
        cfg = Config({'optim_wrapper': {'optimizer': {'type': 'AdamW'}, 'loss_scale': 512.0}})
        enable_amp(cfg)
        assert cfg.optim_wrapper.type == 'mmgcvit.AutoPrecisionOptimWrapper'
        assert cfg.optim_wrapper.loss_scale == 512.0

    @pytest.mark.usefixtures('with_gpu')
    def test_another_wrapper_is_not_replaced(self):
        with pytest.raises(SystemExit, match='ApexOptimWrapper'):
            enable_amp(Config({'optim_wrapper': {'type': 'ApexOptimWrapper'}}))


class TestDataCheck:
    @staticmethod
    def config(root, **dataset):
        return Config({'loader': {'dataset': {'data_root': str(root), 'ann_file': 'a.json', **dataset}}})

    def test_missing_coco_is_named_with_how_to_fill_it(self, tmp_path):
        root = tmp_path / 'coco'
        with pytest.raises(SystemExit) as refusal:
            check_data(self.config(root, data_prefix={'img': 'train2017/'}), ['loader'])
        message = str(refusal.value)
        assert str(root / 'a.json') in message
        assert str(root / 'train2017') in message
        assert 'cocodataset.org' in message
        assert 'ln -s' in message

    def test_missing_digits_say_how_to_make_them(self, tmp_path):
        with pytest.raises(SystemExit, match=r'make_digits\.py'):
            check_data(self.config(tmp_path / 'digits' / 'coco'), ['loader'])

    def test_what_is_there_passes(self, tmp_path):
        (tmp_path / 'a.json').touch()
        check_data(self.config(tmp_path), ['loader', 'a_loader_that_the_config_lacks'])

    @pytest.mark.parametrize('wrap', [lambda d: {'dataset': d}, lambda d: {'datasets': [d, d]}])
    def test_wrapped_sets_are_looked_into(self, tmp_path, wrap):
        cfg = self.config(tmp_path)
        cfg.loader.dataset = wrap(cfg.loader.dataset)
        with pytest.raises(SystemExit, match=r'a\.json'):
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
        with pytest.raises(SystemExit, match=missing):
            check_data(Config({'loader': {'dataset': dataset}}), ['loader'])

    @pytest.mark.parametrize(('classes', 'fits'), [(('cat',), True), (('cat', 'Dog'), False), (None, True)])
    def test_classes_of_a_set_of_ones_own_are_compared_with_its_file(self, classes, fits, tmp_path):
        content = '{"images": [], "annotations": [], "categories": [{"name": "cat"}, {"name": "dog"}]}'
        (tmp_path / 'train.json').write_text(content)
        dataset = {'type': 'CocoDataset', 'data_root': str(tmp_path), 'ann_file': 'train.json'}
        cfg = Config({'loader': {'dataset': {**dataset, 'metainfo': {'classes': classes}}}})
        if fits:
            check_data(cfg, ['loader'])
        else:
            with pytest.raises(SystemExit, match=r"train.json has no category 'Dog'.*It has: 'cat', 'dog'"):
                check_data(cfg, ['loader'])

    @pytest.mark.parametrize(
        ('content', 'message'),
        [
            ('{}', 'no images, annotations, categories'),
            (
                '{"images": [], "categories": [], "annotations": [{"bbox": []}]}',
                r'1 of 1 .* no mask.*custom_coco_boxonly',
            ),
        ],
    )
    def test_annotations_of_ones_own_must_hold_what_the_config_loads(self, content, message, tmp_path):
        (tmp_path / 'train.json').write_text(content)
        dataset = {'type': 'CocoDataset', 'data_root': str(tmp_path), 'ann_file': 'train.json'}
        dataset |= {'metainfo': {'classes': ('cat',)}, 'pipeline': [{'type': 'LoadAnnotations', 'with_mask': True}]}
        with pytest.raises(SystemExit, match=message):
            check_data(Config({'loader': {'dataset': dataset}}), ['loader'])

    def test_sets_that_download_themselves_are_left_to_it(self):
        check_data(Config({'loader': {'dataset': {'type': 'CIFAR10', 'data_root': '/nowhere'}}}), ['loader'])

    @pytest.mark.parametrize(('name', 'folder'), [('CIFAR10', 'cifar-10-batches-py'), ('CIFAR100', 'cifar-100-python')])
    def test_cifar_that_may_not_be_downloaded_is_asked_for_by_its_folder(self, name, folder):
        dataset = {'type': name, 'data_root': f'/nowhere/{name.lower()}', 'download': False}
        with pytest.raises(SystemExit, match=rf'/nowhere/{name.lower()}/{folder}(.|\n)*kriz/cifar'):
            check_data(Config({'loader': {'dataset': dataset}}), ['loader'])

    def test_data_on_a_server_is_not_looked_for_here(self):
        check_data(self.config('s3://bucket/coco/'), ['loader'])


class TestOutputs:
    def test_pictures_go_to_the_very_folder_that_was_named(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        hook = {'default_hooks': {'visualization': {'type': 'x'}}, 'visualizer': {}}
        expected = str(tmp_path / 'here')
        det, seg, cls = (Config({**hook, 'default_scope': scope}) for scope in ('mmdet', 'mmseg', 'mmpretrain'))
        for cfg in (det, seg, cls):
            draw_predictions(cfg, 'here')
        assert det.default_hooks.visualization.test_out_dir == expected
        assert seg.visualizer.save_dir == expected
        assert cls.default_hooks.visualization.out_dir == expected

    def test_without_a_hook_nothing_can_be_drawn(self):
        with pytest.raises(SystemExit, match='visualization'):
            draw_predictions(Config({'default_hooks': {}}), 'here')

    def test_predictions_go_to_pickle_files_only(self):
        with pytest.raises(SystemExit, match=r'o\.json.*\.pkl'):
            dump_metric(Config({}), 'o.json')

    def test_tta_needs_both_parts(self):
        with pytest.raises(SystemExit, match='no tta_pipeline'):
            enable_tta(Config({'tta_model': {}}))


class TestOperatorsCheck:
    @pytest.fixture(autouse=True)
    def built_for_the_cpu(self, monkeypatch):
        monkeypatch.setattr('mmgcvit.cli.operators_check.are_compiled', lambda: True)
        monkeypatch.setattr('mmcv.ops.get_compiling_cuda_version', lambda: 'not available')

    @pytest.mark.usefixtures('with_gpu')
    def test_operators_compiled_without_cuda_are_refused_on_a_gpu(self):
        with pytest.raises(SystemExit, match=r'OPERATORS=torchvision.*FORCE_CUDA=1 .*CUDA_VISIBLE_DEVICES=-1'):
            check_operators(Config({'default_scope': 'mmdet'}))

    @pytest.mark.usefixtures('with_gpu')
    @pytest.mark.parametrize('scope', ['mmpretrain', 'mmseg'])
    def test_they_do_not_concern_models_that_use_none(self, scope):
        check_operators(Config({'default_scope': scope}))

    @pytest.mark.usefixtures('with_gpu')
    def test_stand_ins_serve_on_a_gpu(self, monkeypatch):
        monkeypatch.setattr('mmgcvit.cli.operators_check.are_compiled', lambda: False)
        check_operators(Config({'default_scope': 'mmdet'}))

    def test_operators_compiled_for_another_torch_are_said_to_be(self, monkeypatch):
        def import_module(name):
            raise ImportError('_ext.so: undefined symbol: _ZN3c10')

        monkeypatch.setattr('mmgcvit.cli.operators_check.import_module', import_module)
        with pytest.raises(SystemExit, match=r'do not load beside torch .*undefined symbol.*new environment') as error:
            check_operators_load()
        assert '\n' not in str(error.value)

    @pytest.mark.usefixtures('without_gpu')
    def test_they_serve_without_a_gpu(self):
        check_operators(Config({'default_scope': 'mmdet'}))
