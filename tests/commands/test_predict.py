"""``mmgcvit predict`` handles all tasks, and reports errors as one sentence and an exit code."""

import csv
import errno
import json
import os
import pkgutil
import re
import signal
from argparse import ArgumentParser
from collections import Counter
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from unittest import mock

import cv2
import pytest
import supervision as sv
import torch
from pycocotools import mask as coco_mask

from mmgcvit.commands import predict as command
from mmgcvit.commands.prediction_run import PredictionRun, PredictOptions, compare_sizes
from mmgcvit.host.files import write_image
from mmgcvit.own.data.folders import scan_folder
from mmgcvit.own.data.formats.finding import read_folder
from mmgcvit.own.pictures.finding import find_inputs

from ..predict.conftest import CLASSES, picture_of, write_video


@pytest.fixture
def photos(tmp_path):
    """Write three images to a folder, and return the folder."""
    folder = tmp_path / 'photos'
    for number, name in enumerate(('a.png', 'b.jpg', 'c.png')):
        write_image(folder / name, picture_of(90, 120 + 10 * number, seed=number))
    return folder


@pytest.fixture
def predict(call, work_dirs):
    """Predict with the classifier, or the model of another task. Return exit code and output."""

    def predict(*arguments, task='classification'):
        return call('predict', work_dirs[task], *arguments, '--device', 'cpu')

    return predict


def read(name):
    """Read a file in the default output folder of the command."""
    return json.loads(Path('predictions', name).read_text())


def test_thresholds_of_all_classes_and_of_one_are_shown_before_the_predictions(predict, photos):
    options = ['--score-thr', '5=0', '--score-thr', 1]
    code, printed = predict(photos, *options, '--no-save-vis', task='detection')
    assert code == 0
    assert 'confidence threshold: 1 (5 0), tiles: none' in printed
    names = {record['category_name'] for record in read('predictions.json')}
    assert names <= {'5'}
    code, printed = predict(photos, '--score-thr', 'tiger=0', task='detection')
    assert 'the model has no class tiger. Its classes are 0, 1, 2' in printed


def test_predictions_of_a_folder_are_drawn_and_written_as_json(predict, work_dir, task, photos):
    threshold = ['--score-thr', 0] if task == 'detection' else []
    code, printed = predict(photos, '--batch-size', 2, *threshold, task=task)
    assert code == 0
    assert f'{task}, {len(CLASSES[task])} classes, on the CPU: {work_dir}/epoch_1.pth' in printed
    assert '3 images predicted, 0 skipped: predictions' in printed
    assert ('returned as many detections as it can, 3, so' in printed) == (task == 'detection')
    assert re.search(r'│ all 3 +│ \S+ .*│', printed)
    images, records = read('images.json'), read('predictions.json')
    names = [image['file_name'] for image in images['images']]
    assert names == [str(path) for path in sorted(photos.iterdir())]
    assert [category['name'] for category in images['categories']] == CLASSES[task]
    assert {record['image_id'] for record in records} == {1, 2, 3}
    if task == 'classification':
        records = records[::5]  # those with the highest scores
    counts = Counter()
    for record in records:
        counts[record['file_name'], record['category_name']] += record.get('area', 1)
    header, *rows = csv.reader(Path('predictions/counts.csv').read_text('utf-8-sig').splitlines())
    assert header == ['file_name', *CLASSES[task]]
    for name, (found, *row) in zip(names, rows, strict=True):
        assert (found, row) == (name, [str(counts[name, label]) for label in CLASSES[task]])
    for image in images['images']:
        assert min(cv2.imread(image['drawn']).shape[:2]) == 224
        if task == 'segmentation':
            label_map = cv2.imread(image['label_map'], cv2.IMREAD_UNCHANGED)
            areas = {r['category_id']: r['area'] for r in records if r['image_id'] == image['id']}
            assert areas == Counter(label_map.flatten().tolist())
    # What was written is neither an input nor data to train on.
    assert find_inputs([f'{photos.parent}/p*/**/*']) == (names, [])
    assert not scan_folder(Path('predictions')).files


def test_amp_computes_in_bfloat16(predict, models, photos):
    assert predict(photos / 'a.png', '--amp')[0] == 0
    score, model = read('predictions.json')[0]['score'], models['classification']
    for enabled in (True, False):
        with torch.autocast('cpu', torch.bfloat16, enabled):
            assert (abs(score - model(photos / 'a.png').score) <= 1e-6) == enabled


def test_detections_are_filtered_by_class(predict, photos):
    arguments = [photos, '--score-thr', 0, '--no-save-vis', '--overwrite']
    predict(*arguments, task='detection')
    records = read('predictions.json')
    name = records[0]['category_name']
    predict(*arguments, '--classes', name, task='detection')
    kept = [record for record in records if record['category_name'] == name]
    assert read('predictions.json') == kept
    assert 'has no class zebra' in predict(photos, '--classes', 'zebra', task='detection')[1]


def test_a_video_is_written_with_drawn_predictions_and_a_json_line_per_frame(
    predict, models, photos
):
    film = photos / 'film.avi'
    write_video(film)
    assert predict(film, '--batch-size', 2)[0] == 0
    drawn = 'predictions/vis/film.mp4'
    assert sv.VideoInfo.from_video_path(drawn).fps == 10
    assert len([*sv.get_video_frames_generator(drawn)]) == 5
    lines = Path('predictions/preds/film.jsonl').read_text().splitlines()
    predictions = models['classification']([*sv.get_video_frames_generator(str(film))])
    for index, (line, prediction) in enumerate(zip(lines, predictions, strict=True)):
        entry = json.loads(line)
        assert (entry['frame'], entry['time']) == (index, index / 10)
        record = entry['predictions'][0]
        assert record['category_name'] == prediction.class_name
        assert record['score'] == pytest.approx(prediction.score, abs=1e-4)


def test_the_frames_of_a_video_have_the_limits_of_images(predict, photos, monkeypatch):
    """A side of over 320 times the other, and the number of pixels that Pillow reads."""
    strip = photos / 'strip.avi'
    write_video(strip, frames=1, size=(16 * 330, 16))
    message = 'one side over 320 times the other'
    assert message in predict(strip)[1]
    film = photos / 'film.avi'
    write_video(film, frames=1)
    monkeypatch.setattr('PIL.Image.MAX_IMAGE_PIXELS', 96 * 64 // 2 - 1)
    assert 'its frames have 6144 pixels. At most 6142' in predict(film, '--overwrite')[1]


def test_the_frames_of_a_video_are_compared_with_those_of_training(predict, photos):
    """As images are: over four times larger, small objects may be lost."""
    film = photos / 'film.avi'
    write_video(film, frames=1, size=(2400, 1600))
    printed = predict(film, '--no-save-vis', task='segmentation')[1]
    assert re.search(r'1 of 1 video \(.*film\.avi\): over \d+ times larger', printed)


def test_only_the_first_frames_of_a_video_are_predicted(predict, photos):
    """Frames that nobody asked for are not reported as unreadable."""
    write_video(photos / 'film.avi')
    code, printed = predict(photos / 'film.avi', '--frames', 2, '--batch-size', 3, '--hide-labels')
    assert (code, 'can be read' in printed) == (0, False)
    assert len(Path('predictions/preds/film.jsonl').read_text().splitlines()) == 2
    assert len([*sv.get_video_frames_generator('predictions/vis/film.mp4')]) == 2


def test_unreadable_inputs_are_reported_and_skipped(predict, photos):
    """Of a damaged video, the frames before the damage are predicted."""
    for name in ('words.jpg', 'broken.avi'):
        (photos / name).write_text('words')
    write_video(photos / 'cut.avi')
    whole = (photos / 'cut.avi').read_bytes()
    middle = (len(whole) + whole.index(b'movi')) // 2  # of the frames
    (photos / 'cut.avi').write_bytes(whole[:middle])
    code, printed = predict(photos)
    assert code == 1
    assert f'skipped: {photos}/words.jpg cannot be read: not an image' in printed
    assert f'skipped: {photos}/broken.avi: ' in printed
    num_read = re.search(r'cut\.avi: ([1-4]) of about 5 frames can be read', printed)[1]
    assert re.search(f'3 images and {num_read} frames? predicted, 2 skipped: predictions', printed)
    assert printed.endswith('predict: 2 inputs could not be predicted. See the messages above')
    assert len(read('images.json')['images']) == 3


def test_a_video_that_a_full_disk_cuts_off_is_named(predict, photos, monkeypatch):
    """OpenCV reports no error."""
    write_video(photos / 'film.avi')
    monkeypatch.setattr(sv.VideoSink, 'write_frame', lambda *_: None)
    code, printed = predict(photos / 'film.avi')
    assert code == 1
    message = 'film.avi: predictions/vis/film.mp4 is incomplete. The disk may be full'
    assert message in printed


def test_a_url_is_an_input_and_failing_downloads_are_skipped(predict, photos):
    """Outputs of two URLs that differ only in their query have different names."""
    handler = partial(SimpleHTTPRequestHandler, directory=photos)
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f'http://127.0.0.1:{server.server_port}'
        urls = [f'{address.upper()}/a.png?x=1', f'{address}/a.png?x=2', f'{address}/no.png']
        code, printed = predict(*urls, 'http://')
        server.shutdown()
    assert (code, printed.count('skipped: http')) == (1, 2)
    assert f'skipped: {urls[2]} cannot be read: HTTP Error 404' in printed
    images = read('images.json')['images']
    assert [image['file_name'] for image in images] == urls[:2]
    assert len({image['drawn'] for image in images}) == 2


def test_images_of_other_sizes_than_in_the_training_are_named():
    """Other models than those of ``train --data`` know only to which size they resize images."""
    model = SimpleNamespace(scale=(64, 48))
    for image_side, side, *sizes in (
        (256, 256, (512, 9), (9, 513), (127, 9), (128, 9)),
        (None, 96, (128, 96), (97, 97), (1, 129), (1, 1)),
    ):
        message = compare_sizes(dict(zip('abcd', sizes, strict=True)), model, image_side)
        assert re.match(rf'2 of 4 images \(b, c\): .* --tiles {side}\n', message)
        assert compare_sizes({'a': sizes[0]}, model, image_side) == ''


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ('RUN', 'no INPUT given'),
        ('RUN/classify.py photos/a.png photos/b.jpg', 'comes without weights. Pass a checkpoint'),
        ('photos/b.jpg', 'photos/b.jpg is neither a config file (.py) nor a work dir. Pass one'),
        ('RUN photos --tiles 64', 'a classification model predicts whole images. Remove tiles'),
        ('RUN photos --classes cat', '--classes is only for detectors, and this is a classif'),
        ('RUN photos --measure', '--measure is only for detectors, and this is a classif'),
        ('RUN photos --pixel-size 1um', '--pixel-size needs --measure. Add it'),
        ('RUN photos --measure --pixel-size 1', "pixel_size='1': expected a length above 0"),
        ('RUN photos --labels-format coco', '--labels-format needs --labels FOLDER. Add it'),
        ('RUN photos --labels new --labels-format voc', '--labels-format is only for detectors'),
        ('RUN photos --labels photos', '--labels photos: expected a new or empty folder'),
        ('RUN photos --labels x/y --out-dir x', 'not in the one of --out-dir'),
    ],
)
def test_invalid_arguments_are_rejected(arguments, words, call, work_dirs, photos):
    arguments = arguments.replace('RUN', str(work_dirs['classification'])).split()
    code, printed = call('predict', *arguments)
    assert (code, Path('predictions').exists()) == (1, False)
    assert words in printed


@pytest.mark.parametrize(
    ('step', 'error', 'code', 'ids'),
    [
        ('Predictor.draw', MemoryError(), 1, [1, 3]),
        ('Outputs.write_picture', OSError(errno.ENAMETOOLONG, 'no'), 1, [1, 3]),
        ('Outputs.write_picture', OSError(errno.ENOSPC, 'no'), 1, [1]),
        ('convert_to_array', KeyboardInterrupt(signal.SIGTERM), 143, [1]),
        ('write_json', KeyboardInterrupt(signal.SIGTERM), 143, [1, 2, 3]),
    ],
)
def test_an_image_that_cannot_be_drawn_or_written_is_skipped(
    step, error, code, ids, predict, photos, monkeypatch
):
    """A full disk and signals end the command. The results of the images before are written, also
    if a name is not UTF-8.
    """
    odd = str(photos / os.fsdecode(b'aa\xff.png'))
    (photos / 'a.png').rename(odd)
    path = f'mmgcvit.commands.prediction_run.{step}'
    whole, failing = pkgutil.resolve_name(path), iter([False, True, False])

    def fail_second(*arguments):
        if next(failing, False):
            raise error
        return whole(*arguments)

    monkeypatch.setattr(path, fail_second)
    found, printed = predict(photos)
    assert (found, f'skipped: {photos}/b.jpg: ' in printed) == (code, ids == [1, 3])
    images = read('images.json')['images']
    assert [image['id'] for image in images] == ids
    assert {record['image_id'] for record in read('predictions.json')} <= {*ids}
    assert images[0]['file_name'] == odd


def test_predictions_are_written_as_labels_that_check_data_reads(predict, task, photos):
    threshold = ['--score-thr', 0] if task == 'detection' else []
    arguments = [photos, '--labels', 'to correct', *threshold, '--no-save-vis', '--no-save-pred']
    code, printed = predict(*arguments, task=task)
    assert (code, 'labels of 3 pictures: to correct' in printed) == (0, True)
    mark = json.loads(Path('to correct/made_by.json').read_text())
    assert [*mark['labels']] == ['a.png', 'b.jpg', 'c.png']
    assert mark['checkpoint'].endswith('epoch_1.pth')
    option = {'segmentation': 'semantic'}.get(task)
    split = read_folder('to correct', option, pseudo_labels=True).splits['train']
    assert sorted(path.name for path in split.image_paths) == [*mark['labels']]
    found = sum((Counter(names) for names in split.list_classes()), Counter())
    assert found == Counter(
        label['class'] for labels in mark['labels'].values() for label in labels
    )
    before = {path: path.read_bytes() for path in Path('to correct').rglob('*') if path.is_file()}
    code, printed = predict(*arguments, task=task)
    assert (code, 'labels that somebody may have corrected are never replaced' in printed) == (
        1,
        True,
    )
    assert {path: path.read_bytes() for path in before} == before


def test_objects_are_measured(predict, photos):
    pytest.importorskip('skimage')
    arguments = [photos, '--score-thr', 0, '--measure', '--pixel-size', '2um', '--no-save-vis']
    assert predict(*arguments, task='detection')[0] == 0
    rows = [*csv.DictReader(Path('predictions/objects.csv').read_text('utf-8-sig').splitlines())]
    records = read('predictions.json')
    areas = [coco_mask.area(record['segmentation']).item() for record in records]
    assert [float(row['area_px2']) for row in rows] == [area for area in areas if area]
    assert {row['file_name'] for row in rows} <= {str(path) for path in photos.iterdir()}
    for row in rows:
        assert float(row['area_um2']) == pytest.approx(4 * float(row['area_px2']), rel=1e-5)


@pytest.fixture
def start(monkeypatch, empty_folder):
    """Return a function that parses the options of ``predict``, and returns those of its run, which
    predicts nothing.
    """
    run = mock.Mock(return_value=mock.Mock(num_failed=0))
    monkeypatch.setattr('mmgcvit.commands.prediction_run.PredictionRun', run)
    model = SimpleNamespace(device=torch.device('cpu'))

    def start(*options):
        parser = ArgumentParser()
        command.add_options(parser)
        args = parser.parse_args(['RUN', *map(str, options)])
        command.predict_inputs(args, model, ['a.jpg'], [], None, None)
        return run.call_args.kwargs['options']

    return start


def test_tiles_of_one_image_at_a_time_are_predicted_together(start):
    assert start('--batch-size', 3).batch_size == 3
    assert start('--batch-size', 3, '--tiles', 64).batch_size == 1


@pytest.mark.parametrize('option', ['--no-save-pred', '--no-save-vis'])
def test_predictions_are_replaced_only_by_others(option, start):
    """With --no-save-pred none are written, so those of an earlier call are kept."""
    Path('found').mkdir()
    Path('found/predictions.json').touch()
    options = start('--out-dir', 'found', '--overwrite', option)
    assert (options.write, options.draw) == (option != '--no-save-pred', option != '--no-save-vis')
    assert Path('found/predictions.json').exists() != options.write


def test_objects_of_one_class_have_one_colour_in_all_frames(models, photos, tmp_path, monkeypatch):
    """In an image each has its own, if the model has one class."""
    drawn = []

    def draw(self, image, *_):
        drawn.append(self)
        return image

    model = models['detection']
    monkeypatch.setattr(type(model), 'draw', draw)
    one_class = replace(model, palette=[(9, 9, 9)])
    write_video(photos / 'film.avi', frames=2)
    run = PredictionRun(
        one_class, [], [str(photos / 'film.avi')], options=PredictOptions(), out_dir=tmp_path
    )
    run.predict()
    assert [{*each.palette} for each in drawn] == [{(9, 9, 9)}] * 2
    assert all(len(each.palette) > 1 for each in drawn)
