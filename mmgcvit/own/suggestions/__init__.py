"""Rank unlabelled pictures by how much a model may learn from their labels: ``mmgcvit suggest``.

1. ``uncertainty`` measures how uncertain the model is about a picture.
2. ``features`` describes pictures by the backbone's feature maps, also the training pictures.
3. ``ranking`` orders the pictures: uncertain ones that are unlike the training pictures and unlike
   those before them.
4. ``outputs`` writes the ranking, a sheet of its first pictures, and copies of them.
"""
