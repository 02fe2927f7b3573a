"""Trainings with LoRA: the matrices are in checkpoints, and all commands that load one merge them.

Modules: `mmgcvit/commands`, `mmgcvit/checkpoints/lora.py`.
"""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import MODELS, DefaultScope
from safetensors.torch import load_file

from mmgcvit import load
from mmgcvit.checkpoints.converting import save_checkpoint
from mmgcvit.checkpoints.safe_loading import read_for_mmengine
from mmgcvit.engine.test import disable_lora
from mmgcvit.errors import CheckpointError

from ..models.contract.backbones import GCVIT, LSA_ARCH
from ..own.data.formats.made import write_example
from ..predict.conftest import config_of, picture_of


@pytest.fixture(params=[('GCViT', GCVIT, 128), ('LSA', LSA_ARCH, 64)])
def run(request, empty_folder):
    """Write the work dir of a classifier with LoRA whose matrices are not zero. Return it and the
    classifier.
    """
    network, arch, dims = request.param
    cfg = config_of('classification')
    cfg.model.backbone = {
        'type': f'mmgcvit.{network}',
        'arch': arch,
        'out_indices': (3,),
        'lora_rank': 2,
    }
    cfg.model.head.in_channels = dims
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model).eval()
    for name, matrix in model.named_parameters():
        if name.endswith('lora_up'):
            torch.nn.init.normal_(matrix, std=0.3)
    folder = empty_folder / 'run'
    folder.mkdir()
    save_checkpoint(model.state_dict(), folder / 'epoch_1.pth')
    cfg.dump(folder / 'own.py')
    return folder, model


def test_lora_is_merged_into_published_and_loaded_weights(run, call):
    """Keys are those without LoRA, predictions equal the trained network's, and configs with and
    without LoRA work.
    """
    folder, model = run
    target = Path('model.safetensors')
    call('publish', folder, target)
    assert set(load_file(target)) == {name for name in model.state_dict() if 'lora' not in name}
    plain = Config.fromfile(folder / 'own.py')
    plain.model.backbone.lora_rank = 0
    plain.dump('plain.py')
    image = picture_of(90, 120)
    for files in ((folder / 'own.py', target), (folder,), ('plain.py', folder / 'epoch_1.pth')):
        found = load(*files, device='cpu')
        assert not any('lora' in name for name in found.network.state_dict())
        with torch.no_grad():
            (expected,) = model.test_step(pseudo_collate([found.prepare_image(image)]))
        # Scores are below 1. The tolerance covers rounding in about ten layers.
        assert np.allclose(found(image).scores, expected.pred_score, atol=1e-5)


@pytest.mark.slow
def test_an_exported_file_computes_the_merged_network(run, call):
    """The command compares the file's outputs with those of the network that load returns."""
    pytest.importorskip('onnxruntime')
    folder, _ = run
    code, printed = call('export', folder, 'model.onnx')
    assert code == 0, printed
    assert float(re.search(r'differ from .* by at most (\S+)', printed)[1]) < 1e-4
    assert b'lora' not in Path('model.onnx').read_bytes()


def test_matrices_that_do_not_fit_are_rejected_by_each_command(run, call):
    """The one sentence names the file and the layer."""
    folder, model = run
    tensors = model.state_dict()
    del tensors['backbone.stages.0.blocks.0.mlp.fc1.lora_up']
    save_checkpoint(tensors, folder / 'epoch_1.pth')
    words = r'epoch_1\.pth has LoRA matrices of backbone\S+fc1 without its lora_up\. Use'
    assert re.search(words, call('publish', folder)[1])
    with pytest.raises(CheckpointError, match=words):
        load(folder, device='cpu')


def test_a_config_without_a_backbone_or_rank_has_no_lora_to_disable():
    for model in ({'type': 'Model'}, {'backbone': None}, {'backbone': {'type': 'ResNet'}}):
        cfg = Config({'model': model})
        disable_lora(cfg)
        assert cfg.model == model


@pytest.mark.slow
def test_a_run_with_lora_saves_tests_resumes_and_publishes_its_matrices(call):
    """Its score is that of the published model, and another --fine-tune is rejected."""
    write_example(Path('photos'), 'classes')
    options = [
        '--data',
        'photos',
        '--device',
        'cpu',
        '--size',
        'mini',
        '--workers',
        '0',
        '--fine-tune',
        'lora',
    ]
    code, printed = call('train', *options, '--epochs', 1)
    assert code == 0, printed
    folder = Path('work_dirs/photos')
    code, printed = call('train', *options, '--epochs', 2, '--resume')
    assert code == 0, printed
    for other in ('all', 'head'):
        code, printed = call('train', *options[:-1], other, '--resume')
        assert '--fine-tune cannot be changed when a run is resumed' in printed
    tensors = read_for_mmengine(str(folder / 'epoch_2.pth')).content['state_dict']
    matrices = [tensor for name, tensor in tensors.items() if name.endswith('.lora_up')]
    assert matrices
    assert all(matrix.any() for matrix in matrices)
    assert call('publish', folder, folder / 'model.safetensors')[0] == 0
    scores = set()
    for checkpoint in ([], [folder / 'model.safetensors']):
        _, printed = call('test', folder, *checkpoint, '--device', 'cpu')
        scores.add(re.search(r'accuracy/top1: +([\d.]+)', printed)[1])
    assert len(scores) == 1
