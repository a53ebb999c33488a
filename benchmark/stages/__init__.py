"""One module a DVC stage: stage `x` is `benchmark/stages/x.py` is `python -m benchmark.stages.x`."""

import gc

# torch, transformers and peft create a million objects that stay. Looking through them again and again for garbage was
# a quarter of the time of importing them (4.3 s instead of 5.5 s), which each stage of a language model spends.
gc.set_threshold(100_000, 50, 100)
