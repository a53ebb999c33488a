"""Where the files of a run lie, how they are written, what is noted about them, and whether they are whole."""
