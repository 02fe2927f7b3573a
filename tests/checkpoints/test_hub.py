"""Folders on the Hugging Face Hub, by name; a stand-in gives what huggingface_hub would, as tests ask no network."""

import sys

import huggingface_hub
import pytest
import torch

from mmgcvit import GCViT
from mmgcvit.checkpoints import CheckpointError

from ..models.contract.backbones import GCVIT


@pytest.fixture
def on_hub(tmp_path, monkeypatch):
    """A backbone on the Hub, and what was asked for."""
    built = GCViT(GCVIT, window_size=5)
    built.save_pretrained(tmp_path / 'snapshot')
    asked = []

    def snapshot_download(repo_id, **options):
        asked.append((repo_id, options))
        return str(tmp_path / 'snapshot')

    monkeypatch.setattr(huggingface_hub, 'snapshot_download', snapshot_download)
    monkeypatch.chdir(tmp_path)
    return built, asked


@pytest.mark.parametrize('options', [{}, {'revision': 'v1.0'}])
def test_a_name_is_fetched_as_one_commit_and_loaded(options, on_hub):
    built, asked = on_hub
    loaded = GCViT.from_pretrained('someone/gcvit-small', **options)
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in built.state_dict().items())
    assert loaded.constructor_arguments() == built.constructor_arguments()
    patterns = ['config.json', 'model.safetensors', 'model.safetensors.sha256']
    assert asked == [('someone/gcvit-small', {'revision': options.get('revision'), 'allow_patterns': patterns})]


def test_a_folder_that_is_here_goes_before_the_hub(on_hub, tmp_path):
    _, asked = on_hub
    GCViT({**GCVIT, 'embed_dims': 8}).save_pretrained('someone/here')
    assert GCViT.from_pretrained('someone/here').stage_dims[0] == 8
    assert asked == []


@pytest.mark.parametrize('source', ['work_dirs/epoch_1.pth', '/a/b', 'a/b/c', 'a/b.safetensors', 'b', 'timm://a/b'])
def test_what_is_no_name_on_the_hub_is_not_asked_for(source, on_hub):
    _, asked = on_hub
    with pytest.raises(CheckpointError):
        GCViT.from_pretrained(source)
    with pytest.raises(CheckpointError, match='is no name on the Hugging Face Hub, OWNER/NAME; leave revision out'):
        GCViT.from_pretrained(source, revision='main')
    assert asked == []


def test_what_the_hub_refuses_is_a_sentence(monkeypatch):
    def snapshot_download(*args, **options):
        raise OSError('401 Client Error.\nRepository Not Found for url')

    monkeypatch.setattr(huggingface_hub, 'snapshot_download', snapshot_download)
    with pytest.raises(CheckpointError) as refusal:
        GCViT.from_pretrained('work_dirs/mistyped')
    assert str(refusal.value) == (
        'there is no file or folder work_dirs/mistyped, and the Hugging Face Hub gave none: 401 Client Error.'
    )


def test_without_huggingface_hub_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
    with pytest.raises(CheckpointError, match=r"pip install huggingface_hub', or mmgcvit\[hub\]"):
        GCViT.from_pretrained('someone/gcvit-small')
