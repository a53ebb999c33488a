"""Stages that are forked from a process with its imports done: same commands, files and exit codes, seconds earlier."""
