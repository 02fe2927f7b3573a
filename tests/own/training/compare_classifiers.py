"""Train classifiers on six small sets, beside a logistic regression and a random forest on simple
features, and score them on unseen images.

It prints the table in docs/custom_dataset.md:

    python -m tests.own.training.compare_classifiers FOLDER SEED... [--sets NAME...] [--options OPTION...]

``--options`` are further ones of ``train --data``, and come last. Each set is trained with ``mmgcvit
train --data`` in its default settings for ``--size mini``. ``train`` holds out a fifth of the training
images for its validation; the others learn from all of them. The features are the pixels in 16 x 16,
the means of rows and columns, the colour histogram, or all of these. Five-fold cross-validation on
the training images chooses the features, and the regularisation of the logistic regression.
"""

import argparse
import resource
import subprocess
import sys
from pathlib import Path
from time import process_time

import cv2
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mmgcvit import load

from .small_sets import SETS, read_split, write_sets

OURS = 'mini'
COLUMNS = (OURS, 'logistic regression', 'random forest')


def get_pixels(image):
    """Return the pixels of a picture in 16 x 16."""
    return cv2.resize(image, (16, 16), interpolation=cv2.INTER_AREA).ravel() / 255


def get_means(image):
    """Return the means and deviations of the rows and the columns."""
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (32, 32)) / 255
    return np.concatenate([grey.mean(0), grey.mean(1), grey.std(0), grey.std(1)])


def get_histogram(image):
    """Return the colour histogram of 4 x 4 x 4 cells, and a grey one of 32 cells."""
    colours = cv2.calcHist([image], [0, 1, 2], None, [4, 4, 4], [0, 256] * 3).ravel()
    grey = cv2.calcHist([cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)], [0], None, [32], [0, 256])
    return np.concatenate([colours, grey.ravel()]) / image[..., 0].size


def get_all(image):
    return np.concatenate([get_pixels(image), get_means(image), get_histogram(image)])


FEATURES = (get_pixels, get_means, get_histogram, get_all)


def make_regressions():
    return [
        make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=500))
        for strength in (0.01, 0.1, 1)
    ]


def score_simple(folder, models):
    """Return the test accuracy of the model and features that cross-validation has chosen."""
    images, labels = read_split(folder / 'train')
    best_score = -1
    for extract in FEATURES:
        values = np.stack([extract(image) for image in images])
        for model in models:
            score = cross_val_score(model, values, labels, cv=5).mean()
            if score > best_score:
                best_score = score
                best = (extract, model)
    extract, model = best
    model.fit(np.stack([extract(image) for image in images]), labels)
    test_images, test_labels = read_split(folder / 'test')
    return model.score(np.stack([extract(image) for image in test_images]), test_labels)


def train(folder, work_dir, seed, options):
    """Train a classifier, and return the processor seconds of the command."""
    command = [sys.executable, '-m', 'mmgcvit', 'train', '--data', folder / 'train']
    command += ['--size', 'mini', '--device', 'cpu', '--workers', '0', '--no-progress']
    command += ['--work-dir', work_dir, *options, '--cfg-options', f'randomness.seed={seed}']
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def score_run(folder, work_dir):
    """Return the accuracy of a run's best checkpoint on the test images of its set."""
    model = load(work_dir, device='cpu')
    is_right = []
    for label, class_folder in enumerate(sorted((folder / 'test').iterdir())):
        predictions = model(sorted(class_folder.iterdir()), batch_size=50)
        is_right += [prediction.label == label for prediction in predictions]
    return float(np.mean(is_right))


def compare(folder, work_dir, seed, options):
    """Return the test accuracy and the processor seconds of each classifier."""
    rows = {}
    candidates = {
        'logistic regression': make_regressions(),
        'random forest': [RandomForestClassifier(200, random_state=seed)],
    }
    for name, models in candidates.items():
        before = process_time()
        accuracy = score_simple(folder, models)
        rows[name] = (accuracy, process_time() - before)
    seconds = train(folder, work_dir, seed, options)
    rows[OURS] = (score_run(folder, work_dir), seconds)
    return rows


def main(args):
    results = {name: [] for name in args.sets}
    for seed in args.seeds:
        data = args.folder / f'sets_{seed}'
        if not data.exists():
            write_sets(data, seed)
        for name in args.sets:
            rows = compare(data / name, args.folder / f'{name}_{seed}', seed, args.options)
            results[name].append(rows)
            texts = [
                f'{column} {accuracy:.3f} in {seconds:.0f} s'
                for column, (accuracy, seconds) in rows.items()
            ]
            print(f'{name}, seed {seed}: {", ".join(texts)}', flush=True)  # noqa: T201
    print(f'| set | {" | ".join(COLUMNS)} |\n|---|---|---|---|')  # noqa: T201
    for name, runs in results.items():
        cells = [format_cell([rows[column] for rows in runs]) for column in COLUMNS]
        print(f'| {name} | {" | ".join(cells)} |')  # noqa: T201


def format_cell(rows):
    accuracies, seconds = np.array(rows).T
    spread = f'{accuracies.min():.2f} to {accuracies.max():.2f}'
    return f'{accuracies.mean():.3f} ({spread}), {seconds.mean():.0f} s'


if __name__ == '__main__':
    parser = argparse.ArgumentParser()
    parser.add_argument('folder', type=Path)
    parser.add_argument('seeds', type=int, nargs='+')
    parser.add_argument('--sets', nargs='+', choices=SETS, default=SETS)
    parser.add_argument('--options', nargs=argparse.REMAINDER, default=[])
    main(parser.parse_args())
