"""Load trained models, predict images, and draw predictions.

The way of an image: :func:`mmgcvit.load` (``load``) finds the files of a model (``model_files``),
and ``loading`` builds a :class:`.Predictor`, of which each task has a subclass (``detector``,
``segmentor``, ``classifier``). ``inputs`` makes arrays of images, files and URLs; the predictor
returns a :class:`.Prediction` (``results``), which counts itself and makes its JSON records, and
``drawing`` draws it. Large images are predicted in tiles (``tile_sizes``; ``blending`` for
segmentation), and ``thresholds`` are a detector's confidence thresholds.
"""
