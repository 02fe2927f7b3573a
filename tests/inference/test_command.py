"""``mmgcvit predict``: one command for the three tasks, whose ends are sentences and exit codes."""

import errno
import json
import os
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from mmgcvit.commands.main import run_command
from mmgcvit.inference import UserError, running

from ..tools.commands import call
from .conftest import CLASSES, picture_of
from .test_videos import write_video


@pytest.fixture
def call_it(monkeypatch, tmp_path, capsys):
    """Call the command in this process, in a folder of its own; gives its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)

    def call_it(*arguments):
        monkeypatch.setattr(sys, 'argv', ['mmgcvit predict', *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            run_command('predict')
        code, printed = ended.value.code, capsys.readouterr()
        if isinstance(code, str):
            return 1, f'{printed.out}{code}'
        return code, printed.out + printed.err

    return call_it


@pytest.fixture
def photos(tmp_path):
    """A folder with three pictures."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    for number, name in enumerate(('a.png', 'b.jpg', 'c.png')):
        cv2.imwrite(str(folder / name), picture_of(90, 120 + 10 * number, seed=number))
    return folder


def content(path):
    return json.loads(path.read_text())


def test_a_folder_is_drawn_and_written(call_it, work_dir, task, photos, tmp_path):
    threshold = ['--score-thr', 0] if task == 'detection' else []
    code, printed = call_it(work_dir, photos, '--device', 'cpu', '--batch-size', 2, *threshold)
    assert code == 0
    assert f'{task}, {len(CLASSES[task])} classes, on the CPU: {work_dir}/epoch_1.pth' in printed
    assert '3 images predicted: predictions' in printed
    out = tmp_path / 'predictions'
    images = content(out / 'images.json')
    assert [image['file_name'] for image in images['images']] == [str(path) for path in sorted(photos.iterdir())]
    assert [category['name'] for category in images['categories']] == CLASSES[task]
    records = content(out / 'predictions.json')
    assert {record['image_id'] for record in records} == {1, 2, 3}
    for image in images['images']:
        drawn = cv2.imread(image['drawn'])
        least = 224 if task == 'classification' else image['height']
        assert drawn.shape[0] == least
        if task == 'segmentation':
            label_map = cv2.imread(image['label_map'], cv2.IMREAD_UNCHANGED)
            assert label_map.shape == (image['height'], image['width'])
            areas = {r['category_id']: r['area'] for r in records if r['image_id'] == image['id']}
            assert areas == dict(zip(*map(np.ndarray.tolist, np.unique(label_map, return_counts=True)), strict=True))
    assert not list(out.rglob('*.part*'))


def test_python_sees_what_the_command_writes(call_it, models, work_dirs, photos, tmp_path):
    call_it(work_dirs['detection'], photos / 'a.png', '--score-thr', 0, '--device', 'cpu', '--no-save-vis')
    found = models['detection'](str(photos / 'a.png'))
    records = content(tmp_path / 'predictions' / 'predictions.json')
    assert [record['score'] for record in records] == pytest.approx(found.scores.tolist(), abs=1e-5)
    left, top, width, height = records[0]['bbox']
    assert [left, top, left + width, top + height] == pytest.approx(found.boxes[0].tolist(), abs=0.02)
    assert [path.name for path in (tmp_path / 'predictions').iterdir() if path.is_dir()] == []


def test_a_broken_one_of_many_is_named_and_counted_and_skipped(call_it, work_dirs, photos, tmp_path):
    (photos / 'words.jpg').write_text('words')
    (photos / 'notes.txt').write_text('words')
    os.mkfifo(tmp_path / 'pipe.jpg')
    code, printed = call_it(work_dirs['classification'], photos, 'pipe.jpg', '--batch-size', 3)
    assert code == 1
    assert f'skipped: {photos}/words.jpg cannot be read: no image' in printed
    assert 'skipped: pipe.jpg: it is no regular file' in printed
    assert 'left out, since by name neither image nor video: 1 file\n' in printed
    assert printed.splitlines()[-2:] == [
        '3 images predicted, 2 skipped: predictions',
        'predict: 2 of the inputs could not be used, named above',
    ]
    images = content(tmp_path / 'predictions' / 'images.json')['images']
    assert [image['id'] for image in images] == [1, 2, 3]


def test_an_earlier_result_is_kept_unless_it_may_be_replaced(call_it, work_dirs, photos, tmp_path):
    folder = work_dirs['classification']
    assert call_it(folder, photos)[0] == 0
    before = (tmp_path / 'predictions' / 'predictions.json').read_bytes()
    code, printed = call_it(folder, photos / 'a.png')
    assert (code, 'replace it with --overwrite' in printed) == (1, True)
    assert (tmp_path / 'predictions' / 'predictions.json').read_bytes() == before
    assert call_it(folder, photos / 'a.png', '--overwrite')[0] == 0
    assert {r['image_id'] for r in content(tmp_path / 'predictions' / 'predictions.json')} == {1}
    assert call_it(folder, photos / 'a.png', '--out-dir', 'others')[0] == 0


@pytest.mark.parametrize(('options', 'number'), [([], 4), (['--no-save-pred'], 7)])
def test_files_of_an_earlier_call_that_are_not_replaced_stay_and_are_counted(
    options, number, call_it, work_dirs, photos, tmp_path
):
    """The pictures and label maps of two of three photos; or also all that is not drawn."""
    folder, out = work_dirs['segmentation'], tmp_path / 'predictions'
    assert 'an earlier call' not in call_it(folder, photos)[1]
    before = {path: path.read_bytes() for path in out.rglob('*') if path.is_file()}
    code, printed = call_it(folder, photos / 'a.png', '--overwrite', *options)
    assert code == 0
    assert f'not replaced: {number} files of an earlier call, predictions/' in printed
    assert sum(path.read_bytes() == content for path, content in before.items()) >= number
    assert before.keys() == {path for path in out.rglob('*') if path.is_file()}
    assert 'an earlier call' not in call_it(folder, photos, '--overwrite')[1]


def test_a_turned_photo_of_a_phone_is_drawn_upright(call_it, work_dirs, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture_of(240, 300)).save(tmp_path / 'phone.jpg', exif=exif)
    assert call_it(work_dirs['segmentation'], 'phone.jpg')[0] == 0
    (image,) = content(tmp_path / 'predictions' / 'images.json')['images']
    assert (image['width'], image['height']) == (240, 300)
    assert cv2.imread(image['drawn'], cv2.IMREAD_IGNORE_ORIENTATION | cv2.IMREAD_COLOR).shape == (300, 240, 3)


@pytest.mark.parametrize('ending', ['gif', 'webp', 'png'])
def test_of_an_animation_the_first_frame_is_taken_and_a_line_says_so(ending, call_it, models, work_dirs, tmp_path):
    first, second = (Image.fromarray(picture_of(90, 120, seed=seed)) for seed in (0, 1))
    options = {'lossless': True} if ending == 'webp' else {}
    first.save(tmp_path / f'film.{ending}', save_all=True, append_images=[second], **options)
    first.save(tmp_path / f'still.{ending}', **options)
    code, printed = call_it(work_dirs['classification'], f'film.{ending}', f'still.{ending}', '--device', 'cpu')
    assert code == 0
    assert f'\nfilm.{ending}: an animation, of which the first frame is taken\n2 images predicted' in printed
    film, still = models['classification']([f'film.{ending}', f'still.{ending}'])
    assert film.scores == pytest.approx(still.scores, abs=1e-3)


def test_a_video_beside_images(call_it, work_dirs, photos, tmp_path):
    write_video(photos / 'film.avi', frames=4)
    code, printed = call_it(work_dirs['classification'], photos, '--frames', 2)
    assert code == 0
    assert '3 images and 2 frames predicted: predictions' in printed
    assert len((tmp_path / 'predictions' / 'preds' / 'film.jsonl').read_text().splitlines()) == 2


def test_a_config_and_a_checkpoint_are_named(call_it, work_dirs, photos):
    folder = work_dirs['classification']
    assert call_it(folder / 'classify.py', folder / 'epoch_1.pth', photos)[0] == 0
    assert call_it(folder, folder / 'epoch_1.pth', photos, '--out-dir', 'others')[0] == 0


REFUSED = {
    'nothing to look at': (['RUN'], 'name what to look at behind CONFIG and CHECKPOINT'),
    'nothing behind the checkpoint': (['RUN/classify.py', 'RUN/epoch_1.pth'], 'name what to look at'),
    'no config': (['nowhere.py', 'x.pth', 'photos'], 'there is no config nowhere.py, neither a file nor a work dir'),
    'no checkpoint': (['RUN/classify.py', 'nowhere.pth', 'photos'], 'there is no checkpoint nowhere.pth'),
    'a photo for a checkpoint': (['RUN/classify.py', 'photos/a.png', 'photos/b.jpg'], 'photos/a.png is no checkpoint'),
    'a work dir that is not there': (['runs/none', 'photos/a.png'], 'there is no config runs/none, neither a file nor'),
    'a config that is not there': (['none.py', 'photos/a.png'], 'there is no config none.py, neither a file'),
    'a config alone': (['RUN/classify.py', 'photos/a.png'], 'classify.py has no checkpoint beside it'),
    'only a config': (['RUN/classify.py'], 'name a checkpoint of it'),
    'only a config and a camera': (['RUN/classify.py', '--camera', '0'], 'name a checkpoint of it'),
    'a photo before the config': (['photos/a.png', 'RUN/classify.py'], 'photos/a.png is no config (.py, '),
    'another network': (['RUN/classify.py', 'OTHER/epoch_1.pth', 'photos'], "does not fit the config's model"),
    'an empty folder': (['RUN', 'empty'], 'empty: none of its 0 files is an image or a video by its name'),
    'a pattern without hits': (['RUN', '*.jpg'], '*.jpg: no file is called so'),
    'no GPU': (['RUN', 'photos', '--device', 'cuda'], 'sees no GPU here; take auto or cpu'),
    'no device': (['RUN', 'photos', '--device', 'tpu'], "device 'tpu': expected auto, cpu, cuda or cuda:N"),
    'no camera': (['RUN', '--camera', '97', '--frames', '1'], 'there is no camera 97 that can be opened'),
    'no video': (['RUN', 'empty/none.mp4'], 'empty/none.mp4: there is no such file'),
    'a photo that is not there': (['RUN', 'photos', 'none.jpg'], 'none.jpg: there is no such file or folder'),
    'batches of none': (['RUN', 'photos', '--batch-size', '0'], '--batch-size 0: expected at least 1'),
    'no frames': (['RUN', 'photos', '--frames', '0'], '--frames 0: expected at least 1'),
    'a camera below zero': (['RUN', '--camera', '-1'], '--camera -1: cameras are numbered from 0'),
    'a threshold for classes': (['RUN', 'photos', '--score-thr', '0.5'], 'by score; this is classification'),
    'a device of no number': (['RUN', 'photos', '--device', 'cpu:3'], "device 'cpu:3': expected auto, cpu, cuda or"),
    'nothing to be written': (['RUN', 'photos', '--no-save-vis', '--no-save-pred'], 'nothing would be written'),
    'a folder that cannot be written': (['RUN', 'photos', '--out-dir', '/proc/x'], '/proc/x cannot be written'),
    'a file for a folder': (['RUN', 'photos', '--out-dir', 'photos/a.png'], 'photos/a.png is a file; name a folder'),
}


@pytest.mark.parametrize('case', REFUSED)
def test_what_cannot_be_is_one_sentence(case, call_it, work_dirs, photos, tmp_path, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    arguments, words = REFUSED[case]
    (tmp_path / 'empty').mkdir()
    places = {'RUN': work_dirs['classification'], 'OTHER': work_dirs['segmentation']}
    for word, place in places.items():
        arguments = [argument.replace(word, str(place)) for argument in arguments]
    code, printed = call_it(*arguments)
    assert code == 1
    assert words in printed
    assert 'Traceback' not in printed
    assert not (tmp_path / 'predictions').exists()


def test_an_interrupted_call_leaves_whole_files(call_it, work_dirs, photos, tmp_path, monkeypatch):
    read = running.read_image

    def interrupted(path, loader):
        if path.endswith('b.jpg'):
            raise KeyboardInterrupt
        return read(path, loader)

    monkeypatch.setattr(running, 'read_image', interrupted)
    code, printed = call_it(work_dirs['classification'], photos)
    assert code == 130
    assert printed.endswith('interrupted\n1 image predicted: predictions\n')
    assert {record['image_id'] for record in content(tmp_path / 'predictions' / 'predictions.json')} == {1}
    assert len(content(tmp_path / 'predictions' / 'images.json')['images']) == 1


def test_a_full_disk_is_one_sentence(call_it, work_dirs, photos, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr('mmgcvit.inference.outputs.write_whole', full)
    code, printed = call_it(work_dirs['classification'], photos)
    assert (code, printed.splitlines()[-1]) == (
        1,
        'predict: No space left on device; predictions has what was done until then',
    )


def test_a_file_that_cannot_be_written_later_is_one_sentence(call_it, work_dirs, photos, tmp_path):
    (tmp_path / 'out' / 'images.json.part').mkdir(parents=True)
    code, printed = call_it(work_dirs['classification'], photos, '--out-dir', 'out')
    assert (code, printed.splitlines()[-1]) == (1, 'predict: out/images.json.part: Is a directory')


def test_an_option_tells_which_code_may_run(call_it, work_dirs, photos, monkeypatch):
    taken = []

    def loaded(*arguments):
        taken.append(arguments)
        raise UserError('enough')

    monkeypatch.setattr('mmgcvit.commands.predict.load_for_command', loaded)
    call_it(work_dirs['classification'], photos)
    call_it(work_dirs['classification'], photos, '--trust-checkpoint', '--device', 'cpu')
    assert [arguments[-1] for arguments in taken] == [False, True]


def test_the_script_calls_it(work_dirs, photos, tmp_path):
    command = [
        '-m',
        'mmgcvit',
        'predict',
        work_dirs['classification'],
        photos,
        '--out-dir',
        tmp_path / 'out',
    ]
    output = call('', *command)
    assert output.splitlines() == [
        f'classification, 10 classes, on the CPU: {work_dirs["classification"]}/epoch_1.pth',
        f'3 images predicted: {tmp_path / "out"}',
    ]
