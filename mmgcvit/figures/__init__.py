"""Draw what networks attend to, as the papers do.

Read ``attention_maps.py`` first, the others are like it.
"""
