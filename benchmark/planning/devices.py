"""Where a run takes place: the memory of a device, its peak speed, and the share of it that a run reaches."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from benchmark.artifacts.files import read_json
from benchmark.artifacts.paths import EFFICIENCY
from benchmark.errors import ConfigError

TERA = 1e12
CPU = "CPU"
"""Name of a device that is no card."""
DEVICES = {
    # Dense half precision with sums in single precision, TFLOP/s, as the makers state it.
    "RTX 3090": 71.0,
    "RTX 4090": 165.2,
    "A40": 149.7,
    "A100": 312.0,
    "L4": 121.0,
    "T4": 65.0,
    "H100": 989.4,
    "H200": 989.4,
}
UTILISATION = 0.35
"""Share of a device's operations that a tuning reaches, where none was measured here."""


@dataclass(frozen=True, slots=True)
class Device:
    """Where the run takes place."""

    name: str
    memory_bytes: int
    flops_per_second: float
    """Peak, of dense matrices in the type of the weights."""
    utilisation: float
    """Share of the peak that is reached."""
    is_measured: bool
    """Whether the share was measured on this device, by stage `efficiency`."""


def this_device(dtype: str) -> Device:
    """The GPU of this machine, or its CPU, whose speed is measured in a second."""
    import torch

    from tallrec.cost.products import speed_of_products

    if torch.cuda.is_available():
        total = int(torch.cuda.mem_get_info()[1])
        return named_device(torch.cuda.get_device_name(), total)
    pages: int = os.sysconf("SC_PHYS_PAGES")
    memory_bytes = pages * os.sysconf("SC_PAGE_SIZE")
    return Device(CPU, memory_bytes, speed_of_products(dtype), *_utilisation(CPU))


def named_device(name: str, memory_bytes: int) -> Device:
    """A card by its name, e.g. `RTX 3090`, here or elsewhere.

    Raises:
        ConfigError: its speed is not known.
    """
    speed = stated_speed(name)
    if speed is None:
        raise ConfigError(f"--device: {name!r} is not known, expected one of {', '.join(DEVICES)}")
    return Device(name, memory_bytes, speed, *_utilisation(name))


def stated_speed(name: str) -> float | None:
    """The peak of a card in operations a second, as its maker states it; None if it is not known."""
    return next((tera * TERA for known, tera in DEVICES.items() if known.lower() in name.lower()), None)


def utilisation(measured: Mapping[str, Any]) -> float | None:
    """The share of the peak that a tuning reached: of the stated one, or of what products of matrices reach there.

    Args:
        measured: of `tallrec.cost.measuring.measure`; without its figures where the tuning did not fit.
    """
    if "flops_per_second" not in measured:
        return None
    return measured["flops_per_second"] / (stated_speed(measured["device"]) or measured["products_flops_per_second"])


def _utilisation(device: str) -> tuple[float, bool]:
    rows: list[dict[str, Any]] = [read_json(path) for path in sorted(EFFICIENCY.glob("*.json"))]
    found = [row["utilisation"] for row in rows if row.get("utilisation") and device in str(row.get("device"))]
    return (max(found), True) if found else (UTILISATION, False)


def bytes_of(text: str) -> int:
    """A size such as `24GB` or `900MB`; as cards are labelled, a GB is 2**30 bytes.

    Raises:
        ConfigError: it is none.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(GB|GIB|MB|MIB)\s*", text.upper())
    if not found:
        raise ConfigError(f"--memory: {text!r} is no size, expected e.g. 24GB")
    return int(float(found[1]) * (2**30 if found[2].startswith("G") else 2**20))


def chosen_device(dtype: str, *, name: str, memory: str) -> Device:
    """The card called `name` with `memory`, or what of this machine is not overridden.

    Args:
        dtype: of the weights, as torch names it.
        name: a key of `DEVICES`, or empty.
        memory: a size, or empty.

    Raises:
        ConfigError: the card is not known, its memory is not given, or the size is none.
    """
    if name:
        if not memory:
            raise ConfigError("--device: give --memory too, e.g. --memory 24GB")
        return named_device(name, bytes_of(memory))
    here = this_device(dtype)
    return replace(here, memory_bytes=bytes_of(memory)) if memory else here
