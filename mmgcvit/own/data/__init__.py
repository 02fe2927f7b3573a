"""Read a folder of pictures and labels in any format, and judge what is in it."""
