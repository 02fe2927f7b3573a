"""Commands refuse checkpoints that do not hold the model's weights, and find the one that a run goes on from."""

import os

import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmgcvit.checkpoints import CheckpointError, DamagedCheckpointError, save_whole
from mmgcvit.checkpoints.loading import check_fits
from mmgcvit.checkpoints.run_folder import resume, with_whole_one_beside

from ..checkpoints import toy


@pytest.mark.parametrize('prefix', ['', 'module.', 'module.module.'])
def test_wrappers_around_the_model_do_not_matter(prefix, tmp_path):
    torch.save(
        {'state_dict': {prefix + name: tensor for name, tensor in nn.Linear(2, 3).state_dict().items()}}, tmp_path / 'x'
    )
    check_fits(nn.Linear(2, 3), str(tmp_path / 'x'))


def test_what_is_missing_or_of_another_shape_is_named(tmp_path):
    torch.save({'state_dict': {'weight': torch.zeros(3, 3)}}, tmp_path / 'x')
    with pytest.raises(CheckpointError, match=r'2 of its 2 tensors are missing or of other shapes \(weight, bias'):
        check_fits(nn.Linear(2, 3), str(tmp_path / 'x'))


def test_a_file_without_weights_does_not_fit(tmp_path):
    torch.save({'meta': {}}, tmp_path / 'x')
    with pytest.raises(CheckpointError, match='2 of its 2 tensors are missing'):
        check_fits(nn.Linear(2, 3), str(tmp_path / 'x'))


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_weights_that_are_not_finite_are_named(value, tmp_path):
    state_dict = nn.Linear(2, 3).state_dict()
    state_dict['weight'][1, 1] = value
    torch.save({'state_dict': state_dict}, tmp_path / 'x')
    with pytest.raises(CheckpointError, match=r'1 tensors that are no weights: weight \(values that are not finite'):
        check_fits(nn.Linear(2, 3), str(tmp_path / 'x'))


def test_running_statistics_that_are_not_finite_are_named(tmp_path):
    """Other buffers may be infinite by design."""
    model = nn.Sequential(nn.BatchNorm1d(3))
    model.register_buffer('mask', torch.tensor(float('-inf')))
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'x')
    check_fits(model, str(tmp_path / 'x'))
    torch.save(
        {'state_dict': model.state_dict() | {'0.running_var': torch.tensor([1.0, float('nan'), 1.0])}}, tmp_path / 'x'
    )
    with pytest.raises(CheckpointError, match=r'0\.running_var'):
        check_fits(model, str(tmp_path / 'x'))


def test_a_part_can_be_asked_for_alone(tmp_path):
    model = nn.ModuleDict({'backbone': nn.Linear(2, 2), 'head': nn.Linear(2, 5)})
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'x')
    other = nn.ModuleDict({'backbone': nn.Linear(2, 2), 'head': nn.Linear(2, 7)})
    check_fits(other, str(tmp_path / 'x'), part='backbone.')
    with pytest.raises(CheckpointError):
        check_fits(other, str(tmp_path / 'x'))


@pytest.mark.parametrize('rows', [0, 1, 8, 10, 50])
def test_a_position_table_without_a_grid_is_named(rows, tmp_path):
    model = toy.backbone()
    state_dict = model.state_dict()
    name = 'stages.1.blocks.0.attn.position.relative_position_bias_table'
    state_dict[name] = torch.zeros(rows, 1)
    torch.save({'state_dict': state_dict}, tmp_path / 'x')
    if rows == 1:
        check_fits(model, str(tmp_path / 'x'))
        return
    with pytest.raises(CheckpointError, match=name):
        check_fits(model, str(tmp_path / 'x'))


class TestResume:
    @pytest.fixture
    def cfg(self, tmp_path):
        """A run with three checkpoints."""
        for epoch in (1, 2, 3):
            save_whole({'epoch': epoch}, tmp_path / f'epoch_{epoch}.pth')
        (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_3.pth'))
        return Config({'work_dir': str(tmp_path)})

    def test_the_newest_is_taken(self, cfg, tmp_path):
        resume(cfg, 'auto')
        assert (cfg.resume, cfg.load_from) == (True, str(tmp_path / 'epoch_3.pth'))

    def test_a_file_that_is_named_is_taken(self, cfg):
        resume(cfg, 'epoch_1.pth')
        assert (cfg.resume, cfg.load_from) == (True, 'epoch_1.pth')

    def test_a_torn_one_is_passed_over_for_the_whole_one_before_it(self, cfg, tmp_path):
        os.truncate(tmp_path / 'epoch_3.pth', 100)
        resume(cfg, 'auto')
        assert cfg.load_from == str(tmp_path / 'epoch_2.pth')

    def test_where_all_are_damaged_nothing_begins_anew(self, cfg, tmp_path):
        for path in tmp_path.glob('*.pth'):
            os.truncate(path, 100)
        with pytest.raises(CheckpointError, match=r'no whole checkpoint; passed over, damaged: .*epoch_3\.pth'):
            resume(cfg, 'auto')

    def test_without_last_checkpoint_what_is_there_is_resumed(self, cfg, tmp_path):
        (tmp_path / 'last_checkpoint').unlink()
        resume(cfg, 'auto')
        assert cfg.load_from == str(tmp_path / 'epoch_3.pth')

    def test_an_empty_folder_begins_a_run(self, tmp_path):
        cfg = Config({'work_dir': str(tmp_path)})
        resume(cfg, 'auto')
        assert cfg.load_from is None

    @pytest.mark.parametrize('named', ['', 'gone/epoch_3.pth'])
    def test_a_last_checkpoint_that_is_not_there_is_named(self, named, tmp_path):
        (tmp_path / 'last_checkpoint').write_text(named)
        with pytest.raises(CheckpointError, match=r'names none that is there \(.*remove .*last_checkpoint'):
            resume(Config({'work_dir': str(tmp_path)}), 'auto')

    def test_checkpoints_that_a_hook_saves_elsewhere_are_found(self, tmp_path):
        save_whole({}, tmp_path / 'epoch_3.pth')
        (tmp_path / 'run').mkdir()
        (tmp_path / 'run' / 'last_checkpoint').write_text(str(tmp_path / 'epoch_3.pth'))
        cfg = Config({'work_dir': str(tmp_path / 'run')})
        resume(cfg, 'auto')
        assert cfg.load_from == str(tmp_path / 'epoch_3.pth')

    def test_beside_a_damaged_one_that_was_named_the_whole_one_is_told(self, cfg, tmp_path):
        message = with_whole_one_beside(DamagedCheckpointError('x is damaged'), str(tmp_path / 'epoch_3.pth'))
        assert message == f'x is damaged. Whole, beside it: {tmp_path / "epoch_3.pth"}'
