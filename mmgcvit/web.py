"""Build and serve a Gradio page that shows the predictions of a model on uploaded pictures."""

from typing import Any
from urllib.parse import urlsplit

import gradio as gr
import numpy as np
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from .errors import UserError
from .inference.predictor import Predictor
from .inference.results import Classification, Prediction, Segmentation

LOOPBACK = '127.0.0.1'
# The lowest score threshold that a user of the page can choose.
MIN_SCORE = 0.05
# The largest file that can be uploaded, and the largest request, which encodes it.
MAX_UPLOAD, MAX_REQUEST = '100mb', 101 << 20


class RequestFilter:
    """Reject requests of other sites, and requests that are too large.

    A browser adds the ``Origin`` of the page that sends a request. Gradio only keeps other sites from reading its
    answers, and limits the size of uploaded files only.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope['type'] == 'http' else {}
        app, length = self.app, headers.get('content-length', '0')
        if 'origin' in headers and urlsplit(headers['origin']).netloc != headers.get('host'):
            app = PlainTextResponse('a request of another site', 403)
        elif 'transfer-encoding' in headers or not length.isdecimal() or int(length[:20]) > MAX_REQUEST:
            app = PlainTextResponse('a request of more than 100 MB, or without content-length', 413)
        await app(scope, receive, send)


def build_page(model: Predictor) -> gr.Blocks:
    """Build the page for a model.

    This sets a detector's ``score_thr`` to :data:`MIN_SCORE`. When the user moves the slider, the page then filters the
    objects without predicting again.
    """
    is_detector = model.task == 'detection'
    threshold = model.score_thr if is_detector else MIN_SCORE
    if is_detector:
        model.score_thr = MIN_SCORE

    def predict(path: str | None, score_thr: float) -> tuple[Any, ...]:
        """Return the unfiltered prediction (the page keeps it for the slider), the drawing and the summary."""
        if path is None:
            return None, None, None
        try:
            prediction = model(path)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from None
        return prediction, *show(path, prediction, score_thr)

    def show(path: str | None, prediction: Prediction | None, score_thr: float) -> tuple[Any, Any]:
        """Return the drawing and the summary of a prediction, without objects that score below ``score_thr``."""
        if path is None or prediction is None:
            return None, None
        shown = prediction.select(np.flatnonzero(prediction.scores >= score_thr)) if is_detector else prediction
        return model.draw(path, shown)[..., ::-1], summarise(shown, model.classes)

    # With analytics_enabled=True, Gradio would contact its servers.
    with gr.Blocks(title=f'mmgcvit: {model.task}', analytics_enabled=False) as page:
        prediction = gr.State()
        with gr.Row():
            with gr.Column():
                # With type='filepath', the model itself decodes the file, as in training.
                picture = gr.Image(
                    label='Picture',
                    type='filepath',
                    image_mode=None,
                    sources=['upload', 'webcam'],
                    # A mirrored picture would have reversed letters.
                    webcam_options=gr.WebcamOptions(mirror=False),
                )
                slider = gr.Slider(MIN_SCORE, 1, threshold, step=0.05, label='Score threshold', visible=is_detector)
            with gr.Column():
                drawing = gr.Image(label='Prediction', format='png', interactive=False, buttons=['download'])
                if is_detector:
                    summary = gr.Dataframe(headers=['class', 'score', 'box'], label='Objects', interactive=False)
                else:
                    label = 'Scores' if model.task == 'classification' else 'Shares of the pixels'
                    summary = gr.Label(label=label, num_top_classes=5)
        picture.change(predict, [picture, slider], [prediction, drawing, summary])
        slider.change(show, [picture, prediction, slider], [drawing, summary])
    return page


def summarise(prediction: Prediction, classes: list[str]) -> Any:
    """Return rows of a table of detected objects, a classifier's scores, or each class's share of the pixels."""
    if isinstance(prediction, Classification):
        return dict(zip(classes, prediction.scores.tolist(), strict=True))
    if isinstance(prediction, Segmentation):
        return dict(zip(prediction.class_names, (prediction.areas / prediction.label_map.size).tolist(), strict=True))
    objects = zip(prediction.class_names, prediction.scores, prediction.boxes.round().astype(int), strict=True)
    return [[name, f'{score:.2f}', ', '.join(map(str, box))] for name, score, box in objects]


def serve_page(page: gr.Blocks, port: int) -> str:
    """Serve a page on this machine only, in background threads, and return its URL.

    Raises:
        UserError: The port cannot be used, in most cases because another program uses it.
    """
    # Reject requests with any other Host header, which protects against DNS rebinding.
    trusted_hosts = Middleware(TrustedHostMiddleware, allowed_hosts=[LOOPBACK, 'localhost'])
    request_filter = Middleware(RequestFilter)
    try:
        _, address, _ = page.launch(
            server_name=LOOPBACK,
            server_port=port,
            share=False,
            prevent_thread_lock=True,
            quiet=True,
            show_error=True,
            footer_links=[],
            run_history=False,
            max_file_size=MAX_UPLOAD,
            app_kwargs={'middleware': [trusted_hosts, request_filter]},
        )
    except OSError:
        raise UserError(f'port {port} is in use or not allowed. Choose another port with --port') from None
    return address
