"""A published file has only the whole model's weights, and gives the same predictions as the run's
checkpoint.
"""

import shutil

import torch
from safetensors.torch import load_file

from mmgcvit.checkpoints.reading import read_score_thr
from mmgcvit.files import compute_sha256
from mmgcvit.inference.model_files import load
from mmgcvit.runs import RunFolder


def test_a_published_detector_keeps_its_threshold(work_dirs, tmp_path, call):
    """Also if it is published again, or loaded beside another copy of the config."""
    run = shutil.copytree(work_dirs['detection'], tmp_path / 'run')
    RunFolder(run).write_score_thr(run / 'epoch_1.pth', 0.71)
    target = tmp_path / 'other' / 'published.safetensors'
    target.parent.mkdir()
    _, printed = call('publish', run, run / 'epoch_1.pth', target)
    assert 'confidence threshold 0.71' in printed
    (config,) = run.glob('*.py')
    copy = shutil.copy(config, target.parent)
    again = target.with_name('again.safetensors')
    call('publish', copy, target, again)
    assert load(copy, again, 'cpu').score_thr == 0.71
    assert read_score_thr(str(run / 'epoch_1.pth')) is None


def test_published_file_in_the_work_dir_has_the_weights_without_training_state(
    work_dir, tmp_path, call
):
    run = shutil.copytree(work_dir, tmp_path / 'run')
    _, printed = call('publish', run)
    target = run / 'model.safetensors'
    trained = torch.load(work_dir / 'epoch_1.pth', weights_only=False)['state_dict']
    published = load_file(target)
    assert set(published) == set(trained)
    assert all(torch.equal(published[name], trained[name]) for name in trained)
    assert compute_sha256(target) in printed
    torch.save({'epoch': 1}, tmp_path / 'empty.pth')
    arguments = [run, tmp_path / 'empty.pth', tmp_path / 'b.safetensors']
    assert 'has no weights under' in call('publish', *arguments)[1]
    # The file has default permissions.
    (tmp_path / 'any').touch()
    assert target.stat().st_mode == (tmp_path / 'any').stat().st_mode
