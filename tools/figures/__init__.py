"""Draw what networks attend to, as the papers do.

Read ``views.py``, then ``attention_maps.py``; the others are like it.
"""
