"""timm makes the backbones by name, with weights from a folder or a file of this package's, and equal maps."""

import pytest
import timm
import torch

import mmgcvit.integrations.timm  # noqa: F401  (which registers them)
from mmgcvit import GCViT
from mmgcvit.checkpoints import CheckpointError

from ..models.refusals import not_refused
from .conftest import equal


def create(name, **options):
    return timm.create_model(f'mmgcvit_{name}', **options).eval()


def test_every_published_variant_has_a_name():
    names = timm.list_models('mmgcvit_*')
    assert len(names) == 13
    assert {'mmgcvit_gcvit_tiny', 'mmgcvit_gcvit_large', 'mmgcvit_lsa_cifar_base'} <= set(names)


def test_features_are_the_networks_own_maps(saved):
    height, width = saved.images.shape[2:]
    for options, taken in [
        ({}, (0, 1, 2, 3)),
        ({'out_indices': (1, 3)}, (1, 3)),
        ({'out_indices': (-2, -1)}, (2, 3)),
        ({'out_indices': 2}, (2, 3)),
        ({'out_indices': (0,)}, (0,)),
    ]:
        weights = {'pretrained': True, 'pretrained_cfg_overlay': {'file': saved.folder}}
        model = create(saved.name, features_only=True, **weights, **options)
        with torch.no_grad():
            found = model(saved.images)
        assert equal(found, [saved.maps[i] for i in taken])
        assert model.feature_info.channels() == [made.shape[1] for made in found]
        for made, reduction in zip(found, model.feature_info.reduction(), strict=True):
            assert made.shape[2:] == (-(-height // reduction), -(-width // reduction))
        assert all(f'stages.{i}.' not in name for name in model.state_dict() for i in range(max(taken) + 1, 4))


def test_without_classes_it_gives_the_mean_of_the_last_map(saved):
    model = create(saved.name, pretrained=True, num_classes=0, pretrained_cfg={'file': saved.folder})
    with torch.no_grad():
        assert torch.equal(model.forward_features(saved.images), saved.maps[-1])
        assert torch.equal(model(saved.images), saved.maps[-1].mean((2, 3)))
        last, maps = model.forward_intermediates(saved.images, indices=(0, 2))
    assert equal([*maps, last], [saved.maps[0], saved.maps[2], saved.maps[3]])
    assert model.num_features == saved.maps[-1].shape[1]
    whole = create(saved.name, pretrained=True, global_pool='', pretrained_cfg={'file': saved.folder})
    with torch.no_grad():
        assert torch.equal(whole(saved.images), saved.maps[-1])


def test_a_name_on_the_hub_is_taken_as_the_backbones_take_it(saved, monkeypatch):
    monkeypatch.setattr('huggingface_hub.snapshot_download', lambda name, **options: saved.folder)
    model = create(saved.name, pretrained=True, features_only=True, pretrained_cfg_overlay={'hf_hub_id': 'some/one'})
    with torch.no_grad():
        assert equal(model(saved.images), saved.maps)


def test_a_single_file_is_read_too_and_arguments_are_the_networks(tmp_path):
    built = GCViT('xxtiny', window_size=6)
    torch.save({'state_dict': built.state_dict()}, tmp_path / 'weights.pth')
    model = create(
        'gcvit_xxtiny', pretrained=True, pretrained_cfg_overlay={'file': str(tmp_path / 'weights.pth')}, window_size=6
    )
    assert all(torch.equal(model.backbone.state_dict()[name], tensor) for name, tensor in built.state_dict().items())


def test_without_weights_a_model_is_new_and_of_other_channels():
    model = create('gcvit_xxtiny', in_chans=1, frozen_stages=1)
    assert model(torch.zeros(1, 1, 32, 32)).shape == (1, 512)
    assert not any(p.requires_grad for p in model.backbone.stem.parameters())


def test_what_a_backbone_cannot_be_is_refused():
    cases = [
        ({'pretrained': True}, ValueError, 'mmgcvit_gcvit_xxtiny comes without weights; name some'),
        ({'num_classes': 10}, ValueError, 'num_classes is 10; a backbone has no classifier, expected 0'),
        ({'global_pool': 'max'}, ValueError, "global_pool is 'max'; expected 'avg', or '' for the map itself"),
        ({'window_sise': 7}, TypeError, "unexpected keyword argument 'window_sise'"),
    ]
    assert not_refused(lambda options: create('gcvit_xxtiny', **options), cases) == []


def test_another_variants_weights_are_refused(saved):
    other = {'gcvit_xxtiny': 'gcvit_xtiny', 'lsa_imagenet_tiny': 'lsa_cifar_small'}[saved.name]
    with pytest.raises(CheckpointError, match='holds weights of'):
        create(other, pretrained=True, pretrained_cfg={'file': saved.folder})
    with pytest.raises(ValueError, match="output_fmt is 'NHWC'; expected 'NCHW'"):
        create(saved.name).forward_intermediates(saved.images, output_fmt='NHWC')
