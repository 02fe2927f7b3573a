"""A backbone with weights in one call, which no second one can be forgotten after."""

import pytest
import torch

from mmgcvit import LSA, GCViT
from mmgcvit.checkpoints import CheckpointError

SMALL = {'embed_dims': 4, 'depths': (1, 1, 1, 1), 'num_heads': (1, 1, 1, 1), 'mlp_ratio': 2}


def saved(model, path):
    torch.save({'state_dict': {f'backbone.{name}': tensor for name, tensor in model.state_dict().items()}}, path)
    return path


@pytest.mark.parametrize('arch', ['xxtiny', 'xtiny'])
def test_the_weights_tell_their_arch_and_all_are_loaded(arch, tmp_path):
    made = GCViT(arch)
    loaded = GCViT.from_pretrained(saved(made, tmp_path / 'weights.pth'), drop_path_rate=0.0)
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in made.state_dict().items())


def test_lsa_too(tmp_path):
    made = LSA()
    loaded = LSA.from_pretrained(saved(made, tmp_path / 'weights.pth'))
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in made.state_dict().items())


def test_arguments_are_the_constructors(tmp_path):
    loaded = GCViT.from_pretrained(saved(GCViT('xxtiny'), tmp_path / 'x.pth'), window_size=8, out_indices=(1, 3))
    assert [found.shape[1] for found in loaded(torch.zeros(1, 3, 64, 64))] == [128, 512]


def test_an_arch_of_ones_own_is_named(tmp_path):
    path = saved(GCViT(SMALL), tmp_path / 'own.pth')
    with pytest.raises(CheckpointError, match=r'own\.pth holds weights of GCViT of embed_dims 4.*say which by arch='):
        GCViT.from_pretrained(path)
    assert GCViT.from_pretrained(path, arch=SMALL).stage_dims == (4, 8, 16, 32)


def test_another_network_or_an_incomplete_one_gives_no_backbone(tmp_path):
    path = saved(GCViT('xxtiny'), tmp_path / 'weights.pth')
    with pytest.raises(CheckpointError, match='holds GCViT weights; the model is LSA'):
        LSA.from_pretrained(path)
    content = torch.load(path)
    content['state_dict'].pop('backbone.stages.1.blocks.0.mlp.fc1.weight')
    torch.save(content, path)
    with pytest.raises(CheckpointError, match='lacks 1 tensors'):
        GCViT.from_pretrained(path)


def test_a_missing_file_is_named():
    with pytest.raises(CheckpointError, match=r'nowhere\.pth'):
        GCViT.from_pretrained('nowhere.pth')


def test_a_subclass_with_a_constructor_of_its_own_is_described():
    """It is asked for its variants by name, as one argument among others."""

    class Narrow(GCViT):
        def __init__(self, **arguments):
            super().__init__(**{'out_indices': (3,), **arguments})

    assert Narrow.describe_weights(GCViT('xxtiny').state_dict()) == "'xxtiny'"
