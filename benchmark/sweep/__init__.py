"""Fan-out: every stage is a cell that a worker runs in its own clone, through the run-cache of a shared DVC remote.

Data flow: `graph` (what dvc.yaml unfolds to) -> `cell` (one stage in a clone; knows no engine) on the workers of
`driver` (Dask) or the job arrays of `array` (SLURM) -> `collector` (restores everything; alone writes dvc.lock).
"""
