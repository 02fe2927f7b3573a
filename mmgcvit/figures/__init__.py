"""Draw what networks attend to, as the papers do.

Four files each compute and draw one thing: ``attention_maps.py`` (read it first), ``query_maps.py`` (GC ViT's global
queries), ``gradcam.py``, and ``shift_maps.py`` (LSA's attention to shifted copies of the image).
"""
