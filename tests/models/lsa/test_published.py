"""LSA is the published network: parameters to the digit, multiply-adds, outputs of the authors' implementation."""

import pytest
import torch
from torch import nn

from mmgcvit import LSA
from mmgcvit.experiments.complexity import count_macs, count_parameters
from mmgcvit.models.lsa import ARCHS
from mmgcvit.models.lsa.archs import CIFAR_SHIFTS, IMAGENET_SHIFTS

from ...reference import LSA_REFERENCES
from .plain import PlainLSA

# arch: (classes, parameters of the classifier)
CLASSIFIERS = {
    'imagenet-tiny': (1000, 9_725_608),
    'imagenet-small': (1000, 22_145_320),
    'cifar-tiny': (10, 10_228_298),
    'cifar-small': (10, 36_216_970),
    'cifar-base': (10, 115_772_170),
}

CIFAR_TINY = vars(ARCHS['cifar-tiny'])
NINE_SHIFTS = ((0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (-1, 0), (-2, 0), (0, -1), (0, -2))
TRANSLATIONS = {'shift_mode': 'reflect', 'shared_conv': True}
# What a row of the paper's table 5 changes, and the parameters of the classifier of 10 classes.
ABLATIONS = {
    'A, no shifts': ({'shifts': None}, 6_794_570),
    'B, 9 shifts': ({'shifts': NINE_SHIFTS}, 8_410_442),
    'C, translations': ({**TRANSLATIONS, 'shared_position': True}, 6_794_570),
    'D, translations with own position embeddings': (TRANSLATIONS, 10_136_906),
    'E, one position embedding': ({'shared_position': True}, 6_885_962),
    'E with all key/value heads, as published': ({'shared_position': True, 'num_kv_heads': None}, 7_577_674),
    'full': ({}, 10_228_298),
}


def classifier_parameters(arch, num_classes):
    num_stages = len(ARCHS[arch].depths if isinstance(arch, str) else arch['depths'])
    with torch.device('meta'):
        backbone = LSA(arch, out_indices=(num_stages - 1,))
        return count_parameters(backbone) + count_parameters(nn.Linear(backbone.stage_dims[-1], num_classes))


@pytest.mark.parametrize('arch', CLASSIFIERS)
def test_parameters_of_the_classifier_to_the_digit(arch):
    num_classes, parameters = CLASSIFIERS[arch]
    assert classifier_parameters(arch, num_classes) == parameters


@pytest.mark.parametrize('row', ABLATIONS)
def test_parameters_of_the_ablations_to_the_digit(row):
    changed, parameters = ABLATIONS[row]
    assert classifier_parameters({**CIFAR_TINY, **changed}, 10) == parameters


@pytest.mark.parametrize(('arch', 'plain', 'needed'), [('imagenet-tiny', 3.43, 2.76), ('imagenet-small', 7.69, 7.47)])
def test_multiply_adds_at_224_px(arch, plain, needed):
    """In billions, within 0.5 %: of plain products, and of what this model computes."""
    with torch.device('meta'):
        model, image = LSA(arch).eval(), torch.empty(1, 3, 224, 224)
    assert count_macs(lambda: PlainLSA(model)(image)) / 1e9 == pytest.approx(plain, rel=0.005)
    assert count_macs(lambda: model(image)) / 1e9 == pytest.approx(needed, rel=0.005)


@pytest.mark.parametrize(('shifts', 'number'), [(CIFAR_SHIFTS, 18), (IMAGENET_SHIFTS, 10)])
def test_the_shifts_are_distinct(shifts, number):
    assert len(set(shifts)) == len(shifts) == number


def test_initial_weights_are_truncated_normal_and_biases_zero():
    model = LSA('cifar-tiny')
    groups = {
        'linear': [module.weight for module in model.modules() if isinstance(module, nn.Linear)],
        'conv': [module.weight for module in model.modules() if isinstance(module, nn.Conv2d)],
        'position': [stage.position.pos_embed for stage in model.stages],
    }
    for weights in groups.values():
        assert torch.cat([weight.flatten() for weight in weights]).std().item() == pytest.approx(0.02, rel=0.02)
    assert all(not module.bias.any() for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d))


@pytest.mark.parametrize('with_gradients', [False, True])
@pytest.mark.parametrize('prefix', ['', 'module.'])
@pytest.mark.parametrize('reference', LSA_REFERENCES, ids=lambda reference: reference.name)
def test_outputs_of_the_authors_implementation_within_2e_5(reference, prefix, with_gradients, tmp_path, device):
    """From a checkpoint in the authors' layout, named in ``init_cfg``; inference and training compute differently."""
    weights = reference.weights()
    torch.save({'model': {prefix + name: tensor for name, tensor in weights.items()}}, tmp_path / 'original.pth')
    model = reference.backbone(init_cfg={'type': 'Pretrained', 'checkpoint': str(tmp_path / 'original.pth')})
    model.init_weights()
    with torch.set_grad_enabled(with_gradients):
        last = model.to(device)(reference.image().to(device))[0].cpu()
        logits = last.mean((2, 3)) @ weights['mlp_head.weight'].T + weights['mlp_head.bias']
    torch.testing.assert_close(logits, reference.outputs()[0], atol=2e-5, rtol=0)
