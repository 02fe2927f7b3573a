"""Set up a run: load its config, check its work dir and its data."""

import pytest

from mmgcvit.engine.setup import check_data, check_work_dir, load_config
from mmgcvit.errors import UserError

from ..datasets.checks.made import config as config_with
from ..datasets.checks.made import cut, write_coco


def test_options_override_the_config_and_the_default_work_dir_has_its_name(tmp_path, monkeypatch):
    path = tmp_path / 'some_config.py'
    path.write_text('env_cfg = dict(b=1, c=2)')
    monkeypatch.chdir(tmp_path)
    assert load_config(path).work_dir == 'work_dirs/some_config'
    cfg = load_config(path, {'env_cfg.b': 3}, 'here')
    assert (cfg.work_dir, cfg.env_cfg.b, cfg.env_cfg.c) == ('here', 3, 2)


def test_an_unwritable_work_dir_is_rejected_and_none_is_created(tmp_path):
    check_work_dir(str(tmp_path / 'a' / 'b'))
    assert not list(tmp_path.iterdir())
    (tmp_path / 'file').touch()
    for path in ('file', 'file/run'):
        with pytest.raises(UserError, match=rf'the work dir {tmp_path}/{path} \(--work-dir\) cannot be written'):
            check_work_dir(str(tmp_path / path))


def get_error(cfg, loader='train_dataloader'):
    with pytest.raises(UserError) as error:
        check_data(cfg, [loader])
    return str(error.value)


def test_data_that_would_stop_the_run_is_rejected_by_file_name_and_skipped_annotations_are_reported(tmp_path, capsys):
    settings = write_coco(tmp_path)
    annotations, text = tmp_path / 'train.json', (tmp_path / 'train.json').read_text()
    annotations.write_text(text.replace('"area": 120', '"area": 0', 1))
    check_data(config_with(settings), ['train_dataloader'])
    assert 'or of area zero (annotation 10' in capsys.readouterr().err
    annotations.write_text(text)
    cut(tmp_path / 'images' / 'b.jpg')
    first, *_, last = get_error(config_with(settings)).splitlines()
    assert 'images/b.jpg' in first
    assert 'mmgcvit check-data' in last
    # With no images to open, annotations and missing files are still checked.
    cfg = config_with(settings)
    cfg.data_checks = {'images': 0}
    check_data(cfg, ['train_dataloader'])
    (tmp_path / 'images' / 'b.jpg').unlink()
    assert 'images/b.jpg' in get_error(cfg)
