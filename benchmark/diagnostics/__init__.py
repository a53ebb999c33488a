"""What a score is made of: calibration, changed inputs, single users, parts of a test set, what a model knew before."""
