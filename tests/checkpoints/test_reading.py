"""Reading checkpoints: every format, by content, and never running code from a file."""

import argparse
import io
import pickle
import tempfile
import threading
from collections import Counter
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.logging.history_buffer import HistoryBuffer
from safetensors.torch import save_file

from mmgcvit.checkpoints import CheckpointError, read_checkpoint

from .hostile import LooksUpAnything, RunsACommand

WEIGHTS = {'a.weight': torch.arange(6.0).reshape(2, 3)}


def trainers_checkpoint():
    """What timm's trainer and mmengine's Runner put beside the weights."""
    history = HistoryBuffer()
    history.update(1.0)
    return {
        'state_dict': WEIGHTS,
        'args': argparse.Namespace(lr=0.1),
        'metric': np.float64(83.5),
        'seeds': np.arange(3),
        'param_schedulers': [{'milestones': Counter([27, 33])}],
        'message_hub': {'log_scalars': {'loss': history}},
        'epoch': 3,
    }


@pytest.fixture(params=['zip', 'legacy'])
def save(request):
    return partial(torch.save, _use_new_zipfile_serialization=request.param == 'zip')


def test_what_trainers_write_is_read(save, tmp_path):
    save(trainers_checkpoint(), tmp_path / 'x.pth.tar')
    content = read_checkpoint(str(tmp_path / 'x.pth.tar'))
    assert torch.equal(content['state_dict']['a.weight'], WEIGHTS['a.weight'])
    assert content['args'].lr == 0.1
    assert content['metric'] == 83.5
    assert content['message_hub']['log_scalars']['loss'].current() == 1.0


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
def test_every_protocol_of_pickle_that_torch_writes_is_read(save, protocol, tmp_path):
    save(trainers_checkpoint(), tmp_path / 'x.pth', pickle_protocol=protocol)
    content = read_checkpoint(str(tmp_path / 'x.pth'))
    assert torch.equal(content['state_dict']['a.weight'], WEIGHTS['a.weight'])
    assert content['seeds'].tolist() == [0, 1, 2]
    assert content['message_hub']['log_scalars']['loss'].current() == 1.0


@pytest.mark.parametrize('name', ['model.safetensors', 'model.bin', 'model.pth'])
def test_safetensors_are_known_by_their_content(name, tmp_path):
    save_file(WEIGHTS, tmp_path / name)
    assert torch.equal(read_checkpoint(str(tmp_path / name))['a.weight'], WEIGHTS['a.weight'])


def refused(path):
    with pytest.raises(CheckpointError) as refusal:
        read_checkpoint(str(path))
    assert str(path) in str(refusal.value)
    return str(refusal.value)


def test_a_file_that_would_run_a_command_is_refused_and_runs_nothing(save, tmp_path):
    save({'state_dict': WEIGHTS, 'extra': RunsACommand(tmp_path / 'ran')}, tmp_path / 'x.pth')
    message = refused(tmp_path / 'x.pth')
    assert 'system' in message
    assert 'could run code' in message
    assert not (tmp_path / 'ran').exists()


def test_a_bare_pickle_that_would_run_a_command_is_refused_and_runs_nothing(tmp_path):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / 'x.pth').write_bytes(pickle.dumps(RunsACommand(tmp_path / 'ran'), protocol))
        refused(tmp_path / 'x.pth')
    assert not (tmp_path / 'ran').exists()


def test_the_stand_in_for_getattr_gives_methods_of_log_buffers_only(save, tmp_path):
    save({'extra': LooksUpAnything()}, tmp_path / 'x.pth')
    assert 'could run code' in refused(tmp_path / 'x.pth')


def test_a_truncated_file_is_called_damaged(tmp_path):
    torch.save({'state_dict': {'a': torch.zeros(10_000)}}, tmp_path / 'x.pth')
    (tmp_path / 'x.pth').write_bytes((tmp_path / 'x.pth').read_bytes()[:20_000])
    assert 'cut short' in refused(tmp_path / 'x.pth')


def test_a_truncated_safetensors_file_is_called_damaged(tmp_path):
    save_file({'a': torch.zeros(10_000)}, tmp_path / 'x.safetensors')
    (tmp_path / 'x.safetensors').write_bytes((tmp_path / 'x.safetensors').read_bytes()[:20_000])
    assert 'damaged' in refused(tmp_path / 'x.safetensors')


@pytest.mark.parametrize(
    ('content', 'reason'),
    [(b'', 'is empty'), (b'a letter, not weights\n' * 9, 'is no checkpoint'), (b'x', 'no checkpoint')],
)
def test_other_files_are_called_what_they_are(content, reason, tmp_path):
    (tmp_path / 'x.pth').write_bytes(content)
    assert reason in refused(tmp_path / 'x.pth')


def test_a_missing_file_is_named(tmp_path):
    assert 'there is no checkpoint' in refused(tmp_path / 'nowhere.pth')


@pytest.mark.parametrize(
    'content',
    [
        lambda: {'a': np.zeros(3, np.uint8), 'path': Path('x')},
        lambda: argparse.Namespace(output=Path('here'), seed=np.int64(3)),
    ],
)
def test_harmless_things_beside_the_weights_are_read(content, save, tmp_path):
    save({'state_dict': WEIGHTS, 'extra': content()}, tmp_path / 'x.pth')
    assert 'extra' in read_checkpoint(str(tmp_path / 'x.pth'))


def test_an_intact_file_that_cannot_be_read_is_not_called_damaged(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(tmp_path / 'x.pth'))
    message = refused(tmp_path / 'x.pth')
    assert 'damaged' not in message


@given(place=st.floats(0, 1), value=st.integers(0, 255))
@settings(max_examples=50)
def test_a_file_with_a_wrong_byte_is_read_or_refused_never_anything_else(place, value):
    buffer = io.BytesIO()
    torch.save(trainers_checkpoint(), buffer)
    content = bytearray(buffer.getvalue())
    content[int(place * (len(content) - 1))] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'x.pth'
        path.write_bytes(content)
        with suppress(CheckpointError):
            read_checkpoint(str(path))


class TestDownload:
    @pytest.fixture
    def address(self, tmp_path, monkeypatch):
        """An address on this machine that serves a folder with a checkpoint; torch's cache in an empty folder."""
        folder = tmp_path / 'served'
        folder.mkdir()
        torch.save({'state_dict': WEIGHTS}, folder / 'x.pth')
        monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'cache'))
        server = ThreadingHTTPServer(('127.0.0.1', 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()
        server.server_close()

    def test_an_address_is_fetched_once(self, address, tmp_path):
        for _ in range(2):
            content = read_checkpoint(f'{address}/x.pth')
            assert torch.equal(content['state_dict']['a.weight'], WEIGHTS['a.weight'])
            (tmp_path / 'served' / 'x.pth').unlink(missing_ok=True)

    def test_what_cannot_be_fetched_says_what_to_do(self, address, tmp_path):
        with pytest.raises(CheckpointError, match=r'y\.pth could not be downloaded .*name the file instead'):
            read_checkpoint(f'{address}/y.pth')
        assert not list((tmp_path / 'cache').rglob('*.pth'))


def test_timms_models_are_named(monkeypatch):
    import timm

    asked = {}

    def create_model(name, pretrained):
        asked.update(name=name, pretrained=pretrained)
        return torch.nn.Linear(2, 3)

    monkeypatch.setattr(timm, 'create_model', create_model)
    assert set(read_checkpoint('timm://gcvit_tiny')) == {'weight', 'bias'}
    assert asked == {'name': 'gcvit_tiny', 'pretrained': True}


def test_what_timm_cannot_give_is_named():
    with pytest.raises(CheckpointError, match='gcvit_enormous'):
        read_checkpoint('timm://gcvit_enormous')
