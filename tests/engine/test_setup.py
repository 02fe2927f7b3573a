"""What a run begins with: its config, its work dir and checks of its data."""

import errno
import os
import shutil

import pytest

from mmgcvit.engine.setup import check_data, check_work_dir, load_config
from mmgcvit.errors import UserError

from ..datasets.checks.made import config as config_with
from ..datasets.checks.made import cut, write_coco
from ..tools.commands import CONFIGS, TOOLS, call, train


def test_options_override_the_config_and_the_work_dir_is_named_after_it(tmp_path, monkeypatch):
    path = tmp_path / 'some_config.py'
    path.write_text('env_cfg = dict(b=1, c=2)')
    monkeypatch.chdir(tmp_path)
    assert load_config(path).work_dir == 'work_dirs/some_config'
    cfg = load_config(path, {'env_cfg.b': 3}, 'here')
    assert (cfg.work_dir, cfg.env_cfg.b, cfg.env_cfg.c) == ('here', 3, 2)


def test_a_work_dir_that_cannot_be_written_is_refused_and_none_is_made(tmp_path, monkeypatch):
    check_work_dir(str(tmp_path / 'a' / 'b'))
    assert not list(tmp_path.iterdir())
    (tmp_path / 'file').touch()
    for place in ('file', 'file/run'):
        with pytest.raises(UserError, match=rf'the work dir {tmp_path}/{place} \(--work-dir\) cannot be written'):
            check_work_dir(str(tmp_path / place))

    def refuse(dir):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    # Whoever runs the tests may write anywhere, so the system's answer is given.
    monkeypatch.setattr('tempfile.TemporaryFile', refuse)
    with pytest.raises(UserError, match='Read-only file system'):
        check_work_dir(str(tmp_path / 'a'))


def refusal_of(cfg, loader='train_dataloader'):
    with pytest.raises(UserError) as refused:
        check_data(cfg, [loader])
    return str(refused.value)


def test_what_would_stop_the_run_is_refused_by_name_and_what_is_left_out_is_said(tmp_path, capsys):
    settings = write_coco(tmp_path)
    annotations, text = tmp_path / 'train.json', (tmp_path / 'train.json').read_text()
    annotations.write_text(text.replace('"area": 120', '"area": 0', 1))
    check_data(config_with(settings), ['train_dataloader'])
    assert 'or of area zero (annotation 10' in capsys.readouterr().err
    annotations.write_text(text)
    cut(tmp_path / 'images' / 'b.jpg')
    first, *_, last = refusal_of(config_with(settings)).splitlines()
    assert 'images/b.jpg' in first
    assert 'mmgcvit check-data' in last
    # Without images to open annotations are looked at still.
    cfg = config_with(settings)
    cfg.data_checks = {'images': 0}
    check_data(cfg, ['train_dataloader'])
    (tmp_path / 'images' / 'b.jpg').unlink()
    assert 'images/b.jpg' in refusal_of(cfg)


@pytest.mark.slow
def test_an_image_that_breaks_while_training_is_named_and_too_many_end_it(digits, tmp_path):
    """Those that no sample has found: none is opened at the start."""
    own = tmp_path / 'digits'
    shutil.copytree(digits / 'coco', own / 'coco')
    first, second = sorted((own / 'coco' / 'train2017').iterdir())[:2]
    first.write_text('no image')
    output = train(own, 'detect', tmp_path / 'run', '--cfg-options', 'data_checks.images=0')
    assert f'{first} cannot be loaded' in output
    second.write_text('no image')
    command = TOOLS / 'train.py', CONFIGS / 'detect.py', '--work-dir', tmp_path / 'other'
    options = '--cfg-options', 'data_checks.images=0', 'data_checks.damaged_images=1', 'train_dataloader.num_workers=1'
    output = call(own, *command, *options, fails=True)
    assert 'more than data_checks.damaged_images=1 allows' in output
    assert 'Traceback' not in output
