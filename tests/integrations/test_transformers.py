"""transformers reads and writes the folders of save_pretrained, and makes equal maps of them.

Run by make test-transformers: transformers 5 is no part of the environment, as mmpretrain's models cannot be imported
beside it.
"""

import json
import shutil

import pytest
import torch

pytest.importorskip('transformers', minversion='5.20', reason='beside the environment: make test-transformers')

from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError
from transformers import AutoBackbone, AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageClassification

from mmgcvit import LSA, GCViT
from mmgcvit.checkpoints import CheckpointError
from mmgcvit.integrations.transformers import MMGCViTBackbone, MMGCViTConfig
from mmgcvit.models.base import PyramidBackbone

from ..docs.pages import blocks_of
from ..models.contract.backbones import BACKBONES, GCVIT
from .conftest import equal


def maps_of(model, images):
    with torch.no_grad():
        return model.eval()(images).feature_maps


@pytest.mark.parametrize('auto', [AutoModel, MMGCViTBackbone])
def test_a_folder_gives_the_networks_own_maps(auto, saved):
    assert equal(maps_of(auto.from_pretrained(saved.folder), saved.images), saved.maps)


def test_autobackbone_takes_a_name_on_the_hub(saved, tmp_path, monkeypatch):
    """It asks the Hub whether there is such a name; a folder of that name is what it then finds."""
    asked = []
    monkeypatch.setattr(HfApi, 'repo_exists', lambda self, name, **options: asked.append(name) or True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'someone').mkdir()
    (tmp_path / 'someone' / 'backbone').symlink_to(saved.folder)
    model = AutoBackbone.from_pretrained('someone/backbone', out_features=['stage1', 'stage3'])
    assert asked == ['someone/backbone']
    assert equal(maps_of(model, saved.images), [saved.maps[0], saved.maps[2]])


@pytest.mark.xfail(raises=HFValidationError, strict=True, reason='transformers asks the Hub for the folder: the page')
def test_autobackbone_takes_a_folder(saved):
    AutoBackbone.from_pretrained(saved.folder)


def test_autobackbone_is_made_from_a_folders_config(saved):
    config = AutoConfig.from_pretrained(saved.folder)
    model = AutoBackbone.from_config(config)
    model.load_state_dict(MMGCViTBackbone.from_pretrained(saved.folder).state_dict())
    assert equal(maps_of(model, saved.images), saved.maps)


@pytest.mark.parametrize('name', BACKBONES)
def test_what_transformers_saves_comes_back_through_both(name, tmp_path):
    built = BACKBONES[name][0](out_indices=(0, 2, 3)).eval()
    images = torch.rand(1, 3, 64, 75)
    with torch.no_grad():
        maps = built(images)
    built.save_pretrained(tmp_path / 'ours')
    AutoModel.from_pretrained(tmp_path / 'ours').save_pretrained(tmp_path / 'theirs')
    assert equal(maps_of(AutoModel.from_pretrained(tmp_path / 'theirs'), images), maps)
    loaded = PyramidBackbone.from_pretrained(tmp_path / 'theirs').eval()
    assert loaded.constructor_arguments() == built.constructor_arguments()
    with torch.no_grad():
        assert equal(loaded(images), maps)


@pytest.mark.parametrize(
    ('wanted', 'taken'),
    [
        ({'out_indices': [1, 3]}, (1, 3)),
        ({'out_indices': [-1]}, (3,)),
        ({'out_features': ['stage1', 'stage2']}, (0, 1)),
        ({}, (0, 1, 2, 3)),
    ],
)
def test_features_are_chosen_as_in_transformers(wanted, taken, saved, tmp_path):
    model = AutoModel.from_pretrained(saved.folder, **wanted)
    assert equal(maps_of(model, saved.images), [saved.maps[i] for i in taken])
    assert model.channels == [saved.maps[i].shape[1] for i in taken]
    assert model.out_features == [f'stage{i + 1}' for i in taken]
    assert len(model.backbone.stages) == max(taken) + 1
    model.save_pretrained(tmp_path)
    with torch.no_grad():
        assert equal(PyramidBackbone.from_pretrained(tmp_path).eval()(saved.images), [saved.maps[i] for i in taken])


def test_a_tuple_is_given_where_it_is_wanted(saved):
    (maps,) = MMGCViTBackbone.from_pretrained(saved.folder).eval()(saved.images, return_dict=False)
    assert equal(maps, saved.maps)


def test_a_new_one_is_initialised_as_the_network():
    """By the network, not by transformers: the same draws."""
    torch.manual_seed(0)
    model = AutoBackbone.from_config(MMGCViTConfig(network='GCViT', arguments={'arch': GCVIT}))
    torch.manual_seed(0)
    built = GCViT(GCVIT).state_dict()
    assert all(torch.equal(model.backbone.state_dict()[name], tensor) for name, tensor in built.items())
    assert isinstance(MMGCViTBackbone(MMGCViTConfig(network='LSA')).backbone, LSA)


def test_output_norms_that_are_missing_are_new_and_nothing_else_may_be(tmp_path):
    GCViT(GCVIT, out_indices=(1, 3)).save_pretrained(tmp_path)
    model = AutoModel.from_pretrained(tmp_path, out_indices=[0, 1, 2, 3])
    assert bool((model.backbone.norm0.weight == 1).all() and (model.backbone.norm0.bias == 0).all())
    GCViT(GCVIT, out_indices=(1,)).save_pretrained(tmp_path, overwrite=True)
    with pytest.raises(CheckpointError, match=r'lacks \d+ tensors of the model: backbone\.'):
        AutoModel.from_pretrained(tmp_path, out_indices=[3])


def test_a_config_that_a_folder_may_not_have_is_refused_here_too(tmp_path):
    """By what reads folders: all that it refuses is in tests/checkpoints/test_folder.py."""
    GCViT(GCVIT).save_pretrained(tmp_path)
    content = {**json.loads((tmp_path / 'config.json').read_text()), 'network': 'torch.nn.Linear'}
    (tmp_path / 'config.json').write_text(json.dumps(content))
    with pytest.raises(Exception, match='which is not registered'):
        AutoConfig.from_pretrained(tmp_path)


def test_weights_of_other_formats_are_not_read(saved, tmp_path):
    shutil.copy(f'{saved.folder}/config.json', tmp_path)
    torch.save({}, tmp_path / 'pytorch_model.bin')
    with pytest.raises(OSError, match='safetensors'):
        AutoModel.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ('call', 'error', 'message'),
    [
        (lambda folder: AutoModel.from_pretrained(folder, window_size=16), TypeError, 'window_size'),
        (AutoImageProcessor.from_pretrained, OSError, 'image processor'),
        (AutoModelForImageClassification.from_pretrained, ValueError, 'Unrecognized configuration'),
        (lambda folder: AutoModel.from_pretrained(folder).gradient_checkpointing_enable(), ValueError, 'checkpointing'),
        (
            lambda folder: AutoModel.from_pretrained(folder, attn_implementation='flash_attention_2'),
            ValueError,
            'Flash Attention 2',
        ),
    ],
)
def test_what_the_page_says_is_not_there_ends_as_it_says(call, error, message, saved):
    with pytest.raises(error, match=message):
        call(saved.folder)


def test_hidden_states_and_attentions_are_none(saved):
    model = AutoModel.from_pretrained(saved.folder).eval()
    found = model(saved.images, output_hidden_states=True, output_attentions=True)
    assert found.hidden_states is None
    assert found.attentions is None


def test_the_program_of_the_page_prints_what_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    GCViT('xxtiny').save_pretrained('backbone')
    (block,) = [found for found in blocks_of('docs/other_frameworks.md') if 'AutoModel' in found.text]
    exec(block.text, {})
    said = block.text.strip().splitlines()[-1].split('  # ')[1]
    assert capsys.readouterr().out.splitlines()[-1] == said
