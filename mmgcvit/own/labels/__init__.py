"""Write predictions as labels to correct: a folder of pictures and labels that labelling tools
import, and that ``check-data`` and ``train --data`` read.

To read the code, start with :mod:`.folder`; :mod:`.objects` and :mod:`.polygons` turn detections
into what the writers in :mod:`.formats` write.
"""
