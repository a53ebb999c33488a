"""One module a DVC stage: stage `x` is `benchmark/stages/x.py` is `python -m benchmark.stages.x`."""
