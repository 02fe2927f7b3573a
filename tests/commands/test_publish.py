"""A published file has only the whole model's weights, and gives the same predictions as the run's
checkpoint.
"""

import shutil

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import MODELS, DefaultScope
from safetensors.torch import load_file

from mmgcvit import load
from mmgcvit.checkpoints.converting import save_checkpoint
from mmgcvit.commands.main import run_command
from mmgcvit.files import compute_sha256

from ..inference.conftest import config_of, picture_of
from ..models.contract.backbones import GCVIT, LSA_ARCH


def test_published_file_in_the_work_dir_has_the_weights_without_training_state(
    work_dir, tmp_path, capsys
):
    run = shutil.copytree(work_dir, tmp_path / 'run')
    run_command('publish', [run])
    target = run / 'model.safetensors'
    trained = torch.load(work_dir / 'epoch_1.pth', weights_only=False)['state_dict']
    published = load_file(target)
    assert set(published) == set(trained)
    assert all(torch.equal(published[name], trained[name]) for name in trained)
    assert compute_sha256(target) in capsys.readouterr().out
    # The file has default permissions.
    (tmp_path / 'any').touch()
    assert target.stat().st_mode == (tmp_path / 'any').stat().st_mode


@pytest.mark.parametrize(
    ('network', 'arch', 'dims'), [('GCViT', GCVIT, 128), ('LSA', LSA_ARCH, 64)]
)
def test_lora_is_merged_into_the_published_and_loaded_weights(network, arch, dims, tmp_path):
    """Keys are those without LoRA, predictions equal the trained network's, and configs with and
    without LoRA work.
    """
    cfg = config_of('classification')
    backbone = {'type': f'mmgcvit.{network}', 'arch': arch, 'out_indices': (3,), 'lora_rank': 2}
    cfg.model.backbone, cfg.model.head.in_channels = backbone, dims
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model).eval()
    for name, factor in model.named_parameters():
        if name.endswith('lora_up'):
            torch.nn.init.normal_(factor, std=0.3)
    run, target = tmp_path / 'run', tmp_path / 'model.safetensors'
    checkpoint = run / 'epoch_1.pth'
    save_checkpoint({'state_dict': model.state_dict()}, checkpoint)
    cfg.dump(run / 'own.py')
    run_command('publish', [run, target])
    assert set(load_file(target)) == {name for name in model.state_dict() if 'lora' not in name}
    cfg.model.backbone.lora_rank = 0
    cfg.dump(tmp_path / 'plain.py')
    image = picture_of(90, 120)
    for files in ((run / 'own.py', target), (run,), (tmp_path / 'plain.py', checkpoint)):
        found = load(*files, device='cpu')
        assert not any('lora' in name for name in found.network.state_dict())
        with torch.no_grad():
            (expected,) = model.test_step(pseudo_collate([found.prepare_image(image)]))
        # Scores are below 1. The tolerance covers rounding in about ten layers.
        assert np.allclose(found(image).scores, expected.pred_score, atol=1e-5)
