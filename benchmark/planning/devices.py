"""Where a run takes place: the memory of a device, its peak speed, and the share of it that a run reaches."""

import math
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
    "RTX 3080": 59.5,
    "RTX 3090": 71.0,
    "RTX 4080": 97.5,
    "RTX 4090": 165.2,
    "RTX 5090": 209.5,
    "RTX A4000": 76.7,
    "RTX A5000": 111.1,
    "RTX A6000": 154.8,
    "RTX 6000 Ada": 364.2,
    "T4": 65.0,
    "V100-SXM2": 125.0,
    "V100-PCIE": 112.0,
    "A10": 125.0,
    "A10G": 70.0,
    "A30": 165.0,
    "A40": 149.7,
    "A100": 312.0,
    "L4": 121.0,
    "L40": 181.0,
    "L40S": 362.0,
    "H100": 989.4,
    "H100 PCIe": 756.5,
    "H100 NVL": 835.5,
    "H200": 989.4,
    "H200 NVL": 835.5,
    "GH200": 989.4,
}
ANOTHER_CARD = re.compile(r"\b(Ti|SUPER|Laptop|Max-Q|MIG|Ada|NVL)\b", re.IGNORECASE)
"""Words beside the name of a card that make it another one, or a part of one."""
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


def this_device(dtype: str, flops_per_second: float | None = None) -> Device:
    """The GPU of this machine, or its CPU; the speed of a CPU or a card that is not listed is measured in a second.

    Args:
        dtype: of the weights, as torch names it.
        flops_per_second: overrides the speed.
    """
    import torch

    from tallrec.cost.products import speed_of_products

    if torch.cuda.is_available():
        name, memory_bytes = torch.cuda.get_device_name(), int(torch.cuda.mem_get_info()[1])
    else:
        pages: int = os.sysconf("SC_PHYS_PAGES")
        name, memory_bytes = CPU, pages * os.sysconf("SC_PAGE_SIZE")
    speed = flops_per_second or stated_speed(name) or speed_of_products(dtype)
    return Device(name, memory_bytes, speed, *_utilisation(name))


def named_device(name: str, memory_bytes: int, flops_per_second: float | None = None) -> Device:
    """A card by its name, e.g. `RTX 3090`, here or elsewhere.

    Raises:
        ConfigError: it is not listed and its speed is not given.
    """
    speed = flops_per_second or stated_speed(name)
    if speed is None:
        raise ConfigError(
            f"--device: {name!r} is not listed; give its dense half-precision speed, e.g. --tflops 71, or one of "
            f"{', '.join(DEVICES)}"
        )
    return Device(name, memory_bytes, speed, *_utilisation(name))


def stated_speed(name: str) -> float | None:
    """The peak of a card in operations a second, as its maker states it; None if it is not listed."""
    known = _listed(name)
    return None if known is None else DEVICES[known] * TERA


def _listed(name: str) -> str | None:
    """The key of `DEVICES` that stands in `name` as whole words, the longest first."""
    for known in sorted(DEVICES, key=len, reverse=True):
        rest, n_found = re.subn(rf"\b{re.escape(known)}\b", "", name, count=1, flags=re.IGNORECASE)
        if n_found:
            return None if ANOTHER_CARD.search(rest) else known
    return None


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
    found = [row["utilisation"] for row in rows if row.get("utilisation") and _is_same(device, str(row.get("device")))]
    return (max(found), True) if found else (UTILISATION, False)


def _is_same(device: str, other: str) -> bool:
    return device == other or (_listed(device) is not None and _listed(device) == _listed(other))


def bytes_of(text: str) -> int:
    """A size such as `24GB` or `900MB`; as cards are labelled, a GB is 2**30 bytes.

    Raises:
        ConfigError: it is none.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(GB|GIB|MB|MIB)\s*", text.upper())
    if not found:
        raise ConfigError(f"--memory: {text!r} is no size, expected e.g. 24GB")
    return int(float(found[1]) * (2**30 if found[2].startswith("G") else 2**20))


def chosen_device(dtype: str, *, name: str, memory: str, tflops: float | None = None) -> Device:
    """The card called `name` with `memory`, or what of this machine is not overridden.

    Args:
        dtype: of the weights, as torch names it.
        name: of a card, or empty.
        memory: a size, or empty.
        tflops: its dense half-precision speed in 1e12 operations a second; None: as listed, or measured here.

    Raises:
        ConfigError: the card is not listed, its memory is not given, the size is none, or the speed is not positive.
    """
    if tflops is not None and not 0 < tflops < math.inf:
        raise ConfigError(f"--tflops: {tflops} is no speed, expected a positive number, e.g. 71")
    speed = None if tflops is None else tflops * TERA
    if name:
        if not memory:
            raise ConfigError("--device: give --memory too, e.g. --memory 24GB")
        return named_device(name, bytes_of(memory), speed)
    here = this_device(dtype, speed)
    return replace(here, memory_bytes=bytes_of(memory)) if memory else here
