"""``mmgcvit predict`` handles all three tasks, and reports errors as one sentence and an exit code."""

import csv
import errno
import json
import os
import pkgutil
import re
import signal
from collections import Counter
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import cv2
import numpy as np
import pytest
import supervision as sv
import torch

from mmgcvit.commands.main import run_command
from mmgcvit.commands.predict import compare_sides
from mmgcvit.datasets.layouts import list_files
from mmgcvit.inference import running
from mmgcvit.inference.inputs import find_inputs

from .conftest import CLASSES, picture_of
from .test_inputs import write_video


@pytest.fixture
def photos(tmp_path):
    """Write three images to a folder, and return the folder."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    for number, name in enumerate(('a.png', 'b.jpg', 'c.png')):
        cv2.imwrite(str(folder / name), picture_of(90, 120 + 10 * number, seed=number))
    return folder


@pytest.fixture
def out(tmp_path):
    """Return the default output folder of the command."""
    return tmp_path / 'predictions'


def content(path):
    return json.loads(path.read_text())


def test_predictions_of_a_folder_are_drawn_and_written_as_json(call, work_dir, task, photos, out):
    threshold = ['--score-thr', 0] if task == 'detection' else []
    code, printed = call(
        'predict', work_dir, photos, '--device', 'cpu', '--batch-size', 2, *threshold
    )
    assert code == 0
    assert f'{task}, {len(CLASSES[task])} classes, on the CPU: {work_dir}/epoch_1.pth' in printed
    assert '3 images predicted: predictions' in printed
    assert re.search(r'│ all 3 +│ \S+ .*│', printed)
    images = content(out / 'images.json')
    assert [image['file_name'] for image in images['images']] == [
        str(path) for path in sorted(photos.iterdir())
    ]
    assert [category['name'] for category in images['categories']] == CLASSES[task]
    records = content(out / 'predictions.json')
    assert {record['image_id'] for record in records} == {1, 2, 3}
    if task == 'classification':
        records = records[::5]  # those with the highest scores
    counts = Counter()
    for record in records:
        counts[record['file_name'], record['category_name']] += record.get('area', 1)
    with (out / 'counts.csv').open(newline='') as file:
        header, *rows = csv.reader(file)
    assert header == ['file_name', *CLASSES[task]]
    names = [image['file_name'] for image in images['images']]
    assert rows == [
        [name, *(str(counts[name, label]) for label in CLASSES[task])] for name in names
    ]
    for image in images['images']:
        assert min(cv2.imread(image['drawn']).shape[:2]) == max(
            224, min(image['height'], image['width'])
        )
        if task == 'segmentation':
            label_map = cv2.imread(image['label_map'], cv2.IMREAD_UNCHANGED)
            areas = {r['category_id']: r['area'] for r in records if r['image_id'] == image['id']}
            assert areas == dict(
                zip(*map(np.ndarray.tolist, np.unique(label_map, return_counts=True)), strict=True)
            )
    # What was written is neither an input nor data to train on.
    assert find_inputs([f'{out.parent}/p*/**/*'])[0] == [
        image['file_name'] for image in images['images']
    ]
    assert not list_files(out).files


def test_amp_computes_in_bfloat16(call, models, work_dirs, photos, out):
    assert not call(
        'predict', work_dirs['classification'], photos / 'a.png', '--device', 'cpu', '--amp'
    )[0]
    score, model = content(out / 'predictions.json')[0]['score'], models['classification']
    with torch.autocast('cpu', torch.bfloat16):
        assert score == pytest.approx(model(photos / 'a.png').score, abs=1e-6)
    assert score != pytest.approx(model(photos / 'a.png').score, abs=1e-6)


def test_detections_are_filtered_by_class_and_overlap(call, work_dirs, photos, out):
    arguments = [
        work_dirs['detection'],
        photos,
        '--device',
        'cpu',
        '--score-thr',
        0,
        '--no-save-vis',
        '--overwrite',
    ]

    def predict(*options):
        assert not call('predict', *arguments, '--out-dir', out, *options)[0]
        return content(out / 'predictions.json')

    records = predict()
    name = records[0]['category_name']
    assert predict('--classes', name) == [
        record for record in records if record['category_name'] == name
    ]
    assert (
        'the model has no class zebra. Its classes are '
        in call('predict', *arguments, '--classes', 'zebra')[1]
    )
    other = [work_dirs['classification'], photos, '--classes', 'cat']
    assert (
        '--classes is only for detectors, and this is a classification model'
        in call('predict', *other)[1]
    )


def test_a_video_is_written_with_drawn_predictions_and_a_json_line_per_frame(
    call, models, work_dirs, photos, out
):
    """Unreadable inputs are reported and skipped."""
    for name in ('words.jpg', 'broken.avi'):
        (photos / name).write_text('words')
    write_video(photos / 'film.avi')
    whole = (photos / 'film.avi').read_bytes()
    (photos / 'cut.avi').write_bytes(
        whole[: (len(whole) + whole.index(b'movi')) // 2]
    )  # half of the frames
    code, printed = call('predict', work_dirs['classification'], photos, '--batch-size', 2)
    assert code == 1
    assert f'skipped: {photos}/words.jpg cannot be read: not an image' in printed
    assert f'skipped: {photos}/broken.avi cannot be opened as a video' in printed
    num_read = int(re.search(r'cut\.avi: ([1-4]) of about 5 frames can be read', printed)[1])
    assert printed.splitlines()[-2:] == [
        f'3 images and {5 + num_read} frames predicted, 2 skipped: predictions, pictures in '
        'predictions/vis',
        'predict: 2 inputs could not be predicted. See the messages above',
    ]
    assert [image['id'] for image in content(out / 'images.json')['images']] == [1, 2, 3]
    lines = [json.loads(line) for line in (out / 'preds' / 'film.jsonl').read_text().splitlines()]
    assert [(line['frame'], line['time']) for line in lines] == [
        (0, 0.0),
        (1, 0.1),
        (2, 0.2),
        (3, 0.3),
        (4, 0.4),
    ]
    drawn = str(out / 'vis' / 'film.mp4')
    assert (
        sv.VideoInfo.from_video_path(drawn).fps,
        len([*sv.get_video_frames_generator(drawn)]),
    ) == (10.0, 5)
    frames = [*sv.get_video_frames_generator(str(photos / 'film.avi'))]
    prediction = models['classification'](frames[3])
    assert lines[3]['predictions'][0]['category_name'] == prediction.class_name
    assert lines[3]['predictions'][0]['score'] == pytest.approx(prediction.score, abs=1e-4)


def test_a_video_that_a_full_disk_cuts_off_is_named(call, work_dirs, photos, monkeypatch):
    """OpenCV reports no error."""
    monkeypatch.setattr(sv.VideoSink, 'write_frame', lambda *_: None)
    write_video(photos / 'film.avi')
    code, printed = call('predict', work_dirs['classification'], photos / 'film.avi')
    assert (
        code,
        'skipped: predictions/vis/film.mp4 is incomplete. The disk may be full' in printed,
    ) == (1, True)


def test_a_url_is_an_input_and_failing_downloads_are_skipped(call, work_dirs, photos, out):
    """Outputs of two URLs that differ only in their query have different names."""
    with ThreadingHTTPServer(
        ('127.0.0.1', 0), partial(SimpleHTTPRequestHandler, directory=photos)
    ) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        urls = [
            f'http://127.0.0.1:{server.server_port}/{name}'
            for name in ('a.png?x=1', 'a.png?x=2', 'no.png')
        ]
        urls[0] = urls[0].replace('http', 'HTTP')
        code, printed = call(
            'predict', work_dirs['classification'], *urls, 'http://', '--device', 'cpu'
        )
        server.shutdown()
    assert (code, printed.count('skipped: http')) == (1, 2)
    assert f'skipped: {urls[2]} cannot be read: HTTP Error 404' in printed
    images = content(out / 'images.json')['images']
    assert [image['file_name'] for image in images] == urls[:2]
    assert len({image['drawn'] for image in images}) == 2


def test_images_of_other_sizes_than_in_the_training_are_named():
    sides = {'a.png': 512, 'b.png': 513, 'c.png': 127, 'd.png': 128}
    assert re.match(
        r'2 of 4 images \(b.png, c.png\) .* add --tiles 256\n', compare_sides(sides, 256)
    )
    assert compare_sides({'a.png': 256}, 256) == compare_sides({}, 256) == ''


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ('RUN', 'no INPUT given'),
        ('RUN/classify.py photos/a.png photos/b.jpg', 'photos/a.png is not a checkpoint'),
        ('photos/a.png RUN/classify.py', 'photos/a.png is neither a config file'),
        ('RUN photos --tiles 64', 'a classifier predicts whole images. Remove --tiles'),
        ('RUN photos --no-save-vis --no-save-pred', 'write nothing. Remove one of them'),
    ],
)
def test_invalid_arguments_are_rejected(arguments, words, call, work_dirs, photos, out):
    code, printed = call(
        'predict', *arguments.replace('RUN', str(work_dirs['classification'])).split()
    )
    assert (code, out.exists()) == (1, False)
    assert words in printed


@pytest.mark.parametrize(
    ('step', 'number'),
    [
        ('Predictor.draw', None),
        ('Outputs.write_picture', errno.ENAMETOOLONG),
        ('Outputs.write_picture', errno.ENOSPC),
    ],
)
def test_an_image_that_cannot_be_drawn_or_written_is_skipped(
    step, number, call, work_dirs, photos, out, monkeypatch
):
    """A full disk ends the command. The results of the images before are written."""
    path, error = (
        f'mmgcvit.inference.running.{step}',
        OSError(number, 'no') if number else MemoryError(),
    )
    whole, failing = pkgutil.resolve_name(path), iter([False, True, False])

    def fail_second(*arguments):
        if next(failing):
            raise error
        return whole(*arguments)

    monkeypatch.setattr(path, fail_second)
    code, printed = call('predict', work_dirs['classification'], photos, '--device', 'cpu')
    assert (code, f'skipped: {photos}/b.jpg: ' in printed) == (1, number != errno.ENOSPC)
    ids = [1] if number == errno.ENOSPC else [1, 3]
    assert [image['id'] for image in content(out / 'images.json')['images']] == ids


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_call_writes_the_results_of_all_images_before(
    number, call, work_dirs, photos, out, monkeypatch
):
    """Ctrl-C or SIGTERM while the third image is read; a name that is not UTF-8 is written as
    Python reads it.
    """
    read, odd = running.convert_to_array, os.fsdecode(b'aa\xff.png')
    (photos / 'a.png').rename(photos / odd)

    def read_or_interrupt(path, loader):
        if path.endswith('c.png'):
            os.kill(os.getpid(), number)
        return read(path, loader)

    monkeypatch.setattr(running, 'convert_to_array', read_or_interrupt)
    code, _ = call(
        'predict', work_dirs['classification'], photos, '--out-dir', out, '--device', 'cpu'
    )
    assert code == 128 + number
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    images = content(out / 'images.json')['images']
    assert [image['file_name'] for image in images] == [str(photos / odd), str(photos / 'b.jpg')]
    assert {record['image_id'] for record in content(out / 'predictions.json')} == {1, 2}


def test_the_test_command_takes_a_work_dir_or_a_config_and_a_checkpoint(work_dirs, monkeypatch):
    """With a work dir, results go to its subfolder ``test``, so that the run's own files are
    unchanged.
    """
    tested, run = [], work_dirs['classification']
    monkeypatch.setattr(
        'mmgcvit.engine.test.run_test', lambda cfg, checkpoint, *_: tested.append((cfg, checkpoint))
    )
    checkpoint = str(run / 'epoch_1.pth')
    for arguments, expected, folder in (
        ([run], str(run), str(run / 'test')),
        ([run / 'classify.py', '--work-dir', 'own', checkpoint], checkpoint, 'own'),
    ):
        run_command('test', [*arguments, '--device', 'cpu'])
        cfg, named = tested.pop()
        assert (cfg.filename, named, cfg.work_dir) == (str(run / 'classify.py'), expected, folder)
