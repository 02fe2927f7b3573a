"""Track objects in videos with mmdet's ByteTrack. Run by make test-track."""

import pytest
import torch
from safetensors.torch import load_file

pytest.importorskip('lap', reason='beside the environment: make test-track')
pytest.importorskip('trackeval', reason='beside the environment: make test-track')

from mmgcvit.experiments.complexity import count_by_part, count_parameters

from ..configs.models import ENTRIES, build_on_meta, find_wrong_groups, read
from ..inference import clip
from ..tools.commands import call, score

DIGITS = 'mask_rcnn_gcvit_digits'


def test_digits_that_cross_and_leave_are_tracked(tmp_path):
    truth = clip.write_clip(tmp_path / 'clip.mp4')
    config, video = f'configs/demo/{DIGITS}.py', tmp_path / 'clip.mp4'
    call('', '-m', 'mmgcvit', 'predict', config, video, '--track', '--out-dir', tmp_path)
    scores = clip.scores_of(truth, clip.read_tracks(tmp_path / 'preds' / 'clip.jsonl'))
    assert min(scores['HOTA'], scores['MOTA']) > 0.5, scores
    assert scores['switches'] < 12, scores


def test_the_mot17_config_trains_and_evaluates_a_detector(tmp_path):
    """Put the digits' detector into the config and run it on the clip."""
    cfg, detector = read('other_tasks/bytetrack_gcvit_t_mot17'), read(f'demo/{DIGITS}').model
    model, metadata = build_on_meta(cfg), ENTRIES['other_tasks/bytetrack_gcvit_t_mot17']['Metadata']
    assert [*find_wrong_groups(cfg, model)] == []
    parts = count_by_part(model, tuple(map(int, metadata['FLOPs Input Size'].split('x'))))
    assert (count_parameters(model), sum(part.macs for part in parts)) == (metadata['Parameters'], metadata['FLOPs'])
    clip.write_mot(tmp_path)
    weights = load_file(f'configs/demo/weights/{DIGITS}.safetensors')
    for part in ('data_preprocessor', 'roi_head.mask_head', 'roi_head.mask_roi_extractor'):
        *outer, name = part.split('.')
        (detector[outer[0]] if outer else detector).pop(name)
    detector.backbone.init_cfg = None
    torch.save(
        {'state_dict': {f'detector.{name}': value for name, value in weights.items() if 'mask_' not in name}},
        tmp_path / 'digits.pth',
    )
    cfg.model.detector, cfg.load_from = detector, str(tmp_path / 'digits.pth')
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = f'{tmp_path}/'
        loader.update(num_workers=0, persistent_workers=False)
    cfg.train_dataloader.dataset.update(indices=4, metainfo={'classes': clip.MOT_CLASSES})
    for dataset, step in ((cfg.train_dataloader.dataset, 2), (cfg.val_dataloader.dataset, 0)):
        step = dataset.pipeline[step]
        (step.transforms[1] if 'transforms' in step else step).scale = (128, 128)
    cfg.train_cfg.max_epochs, cfg.optim_wrapper.optimizer.lr = 1, 1e-6
    cfg.dump(tmp_path / 'config.py')
    output = call('', '-m', 'mmgcvit', 'train', tmp_path / 'config.py', '--work-dir', tmp_path / 'run')
    assert score(output, 'best motchallenge-metric_HOTA') > 0.5
