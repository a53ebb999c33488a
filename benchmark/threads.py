"""How many threads torch may count on."""

import os


def threads_for(wanted: int) -> int:
    """`wanted`, or as many as OpenMP will start where the environment says fewer.

    oneDNN divides a bfloat16 product by the threads that torch names, and what none was there for stays as the memory
    was: with OMP_THREAD_LIMIT=1 and two threads half of the result, without an error. So torch is never given more than
    OMP_THREAD_LIMIT, and one where OMP_DYNAMIC lets their number depend on what else runs.
    """
    if os.environ.get("OMP_DYNAMIC", "").strip().lower() == "true":
        return 1
    limit = os.environ.get("OMP_THREAD_LIMIT", "").strip()
    return min(wanted, int(limit)) if limit.isdecimal() and int(limit) else wanted
