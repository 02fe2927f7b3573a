"""Try a model in the browser: python docs/extensions/page.py CONFIG_OR_WORK_DIR [CHECKPOINT].

Gradio serves the page on this machine only. It is installed by: pip install 'mmgcvit[web]'
"""

import sys
from typing import Any

import gradio as gr
import numpy as np

import mmgcvit

MIN_SCORE = 0.05  # the lowest score threshold that the slider has


def build_page(model: Any) -> gr.Interface:
    """Build the page for a model that :func:`mmgcvit.load` returned.

    A detector's ``score_thr`` is lowered.
    """
    inputs, is_detector = [gr.Image(label='Picture', type='filepath')], model.task == 'detection'
    if is_detector:
        inputs.append(gr.Slider(MIN_SCORE, 1, model.score_thr, label='Score threshold'))
        model.score_thr = MIN_SCORE
        summary = gr.Dataframe(headers=['class', 'score', 'box'], label='Objects')
    else:
        label = 'Scores' if model.task == 'classification' else 'Shares of the pixels'
        summary = gr.Label(label=label, num_top_classes=5)

    def predict(path: str, score_thr: float = MIN_SCORE) -> tuple[np.ndarray, Any]:
        try:
            prediction = model(path)  # the path, so that the file is decoded as in training
        except ValueError as error:
            raise gr.Error(str(error)) from None
        if is_detector:
            prediction = prediction.select(np.flatnonzero(prediction.scores >= score_thr))
        return model.draw(path, prediction)[..., ::-1], summarise(model, prediction)

    return gr.Interface(
        predict,
        inputs,
        [gr.Image(label='Prediction'), summary],
        flagging_mode='never',
        analytics_enabled=False,
    )


def summarise(model: Any, prediction: Any) -> Any:
    """Return rows of objects, a classifier's scores, or each class's share of the pixels."""
    if model.task == 'classification':
        return dict(zip(model.classes, prediction.scores.tolist(), strict=True))
    if model.task == 'segmentation':
        shares = prediction.areas / prediction.label_map.size
        return dict(zip(prediction.class_names, shares.tolist(), strict=True))
    objects = zip(prediction.class_names, prediction.scores, prediction.boxes.round(), strict=True)
    return [[name, f'{score:.2f}', str(box.astype(int).tolist())] for name, score, box in objects]


if __name__ == '__main__':
    build_page(mmgcvit.load(*sys.argv[1:])).launch(server_name='127.0.0.1')
