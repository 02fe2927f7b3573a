"""Run trained models on images and videos; return, draw and write their predictions.

To read the code, start with ``load`` in :mod:`.loading`, then read :mod:`.predictor`.
"""
