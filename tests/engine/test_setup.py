"""What a run begins with: its config, its work dir and checks of its data."""

import pytest

from mmgcvit.engine.setup import check_data, check_work_dir, load_config
from mmgcvit.errors import UserError

from ..datasets.checks.made import config as config_with
from ..datasets.checks.made import cut, write_coco


def test_options_override_the_config_and_the_work_dir_is_named_after_it(tmp_path, monkeypatch):
    path = tmp_path / 'some_config.py'
    path.write_text('env_cfg = dict(b=1, c=2)')
    monkeypatch.chdir(tmp_path)
    assert load_config(path).work_dir == 'work_dirs/some_config'
    cfg = load_config(path, {'env_cfg.b': 3}, 'here')
    assert (cfg.work_dir, cfg.env_cfg.b, cfg.env_cfg.c) == ('here', 3, 2)


def test_a_work_dir_that_cannot_be_written_is_refused_and_none_is_made(tmp_path):
    check_work_dir(str(tmp_path / 'a' / 'b'))
    assert not list(tmp_path.iterdir())
    (tmp_path / 'file').touch()
    for place in ('file', 'file/run'):
        with pytest.raises(UserError, match=rf'the work dir {tmp_path}/{place} \(--work-dir\) cannot be written'):
            check_work_dir(str(tmp_path / place))


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
