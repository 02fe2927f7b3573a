"""Draw what the queries of a network attend to, as maps over the image.

Read ``attention_maps.py``; ``views.py`` relates pixels of the image to those of the network.
"""
