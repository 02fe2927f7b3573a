"""Draw what networks attend to, as the papers do.

Read ``views.py``, then ``attention_maps.py`` or ``gradcam_maps.py``.
"""
