"""How fast this device multiplies matrices."""

import time


def speed_of_products(dtype: str) -> float:
    """Operations a second of the best of some products of square matrices.

    A CPU may multiply half precision far slower than single precision; the faster of the two counts.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = 8192 if device == "cuda" else 1024
    best = 0.0
    for kind in {dtype, "float32"}:
        matrix = torch.ones(size, size, dtype=getattr(torch, kind), device=device)
        for _ in range(10):
            start = now()
            torch.mm(matrix, matrix)
            best = max(best, 2 * size**3 / (now() - start))
        del matrix
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return best


def now() -> float:
    """Seconds of a clock, read when all that the GPU was told to do is done."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
