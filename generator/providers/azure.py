"""Sizes of Azure's virtual machines: which one holds a pod, and which accelerators there are none of.

Source: Microsoft, "Sizes for virtual machines in Azure": Dsv5, Esv5, NCasT4_v3, NC_A100_v4, NDasrA100_v4,
NDm_A100_v4, NCads_H100_v5, ND-H100-v5, ND-H200-v5. Azure has the A10, not the A10G, and neither L4 nor L40S; AWS's
Neuron devices are AWS's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from generator.catalog import ACCELERATORS
from generator.quantities import GIB, cores, in_bytes

# AKS keeps, with at most 110 pods on a node, 2.25 GiB for the kubelet and 100 MiB against eviction ("Node resource
# reservations"); DaemonSets and the hypervisor take the rest.
RESERVED_MEMORY = 3 * GIB
USABLE_MEMORY = 0.96


@dataclass(frozen=True, slots=True)
class Size:
    """A size of virtual machine; `memory` in GiB."""

    name: str
    devices: int
    cpus: int
    memory: int

    @property
    def pool(self) -> str:
        """Name of a node pool of this size: 1 to 12 of a-z and 0-9, a letter first. Unique among the sizes here."""
        words = self.name.removeprefix("Standard_").lower().split("_")
        return "".join(word for word in words if not (word[0] == "v" and word[1:].isdigit()))


CPU_SIZES: tuple[Size, ...] = (
    Size("Standard_D4s_v5", 0, 4, 16),
    Size("Standard_D8s_v5", 0, 8, 32),
    Size("Standard_E8s_v5", 0, 8, 64),
    Size("Standard_D16s_v5", 0, 16, 64),
    Size("Standard_E16s_v5", 0, 16, 128),
    Size("Standard_D32s_v5", 0, 32, 128),
    Size("Standard_E32s_v5", 0, 32, 256),
    Size("Standard_E64s_v5", 0, 64, 512),
)
"""By price, cheapest first."""

GPU_SIZES: Mapping[str, tuple[Size, ...]] = MappingProxyType(
    {
        "nvidia-t4": (
            Size("Standard_NC4as_T4_v3", 1, 4, 28),
            Size("Standard_NC8as_T4_v3", 1, 8, 56),
            Size("Standard_NC16as_T4_v3", 1, 16, 110),
            Size("Standard_NC64as_T4_v3", 4, 64, 440),
        ),
        "nvidia-a100-40gb": (Size("Standard_ND96asr_v4", 8, 96, 900),),
        "nvidia-a100-80gb": (
            Size("Standard_NC24ads_A100_v4", 1, 24, 220),
            Size("Standard_NC48ads_A100_v4", 2, 48, 440),
            Size("Standard_NC96ads_A100_v4", 4, 96, 880),
            Size("Standard_ND96amsr_A100_v4", 8, 96, 1800),
        ),
        # The NC sizes have the H100 NVL of 94 GB, which holds what fits into 80 GB.
        "nvidia-h100-80gb": (
            Size("Standard_NC40ads_H100_v5", 1, 40, 320),
            Size("Standard_NC80adis_H100_v5", 2, 80, 640),
            Size("Standard_ND96isr_H100_v5", 8, 96, 1900),
        ),
        "nvidia-h200-141gb": (Size("Standard_ND96isr_H200_v5", 8, 96, 1850),),
    }
)
"""Rows of catalog.ACCELERATORS to the sizes that have it, smallest first."""


def unavailable(accelerator: str) -> bool:
    """Whether no virtual machine of Azure has the accelerator."""
    return accelerator not in GPU_SIZES


def smallest(limits: Mapping[str, str], accelerator: str | None) -> Size | None:
    """The first size that holds a pod with these limits, Kubernetes quantities; None where none does."""
    sizes = CPU_SIZES if accelerator is None else GPU_SIZES.get(accelerator, ())
    return next((size for size in sizes if fits(size, limits, accelerator)), None)


def largest(accelerator: str | None) -> Size:
    """The size to name where a pod fits nowhere. Raises KeyError for an accelerator that Azure does not have."""
    return (CPU_SIZES if accelerator is None else GPU_SIZES[accelerator])[-1]


def fits(size: Size, limits: Mapping[str, str], accelerator: str | None) -> int:
    """How many pods with these limits a node of the size holds."""
    memory = int(size.memory * GIB * USABLE_MEMORY) - RESERVED_MEMORY
    # AKS and its DaemonSets take less than one CPU.
    counts = [int((size.cpus - 1) // cores(limits["cpu"])), memory // in_bytes(limits["memory"])]
    if accelerator is not None:
        counts.append(size.devices // int(limits[ACCELERATORS[accelerator].resource]))
    return min(counts)


def nodes(size: Size, pods: Iterable[tuple[Mapping[str, str], int]], accelerator: str | None) -> int:
    """How many nodes of the size hold `(limits, count)` pods, each kind of pod on nodes of its own."""
    return sum(-(-count // max(1, fits(size, limits, accelerator))) for limits, count in pods)


def unfit(limits: Mapping[str, str], accelerator: str | None) -> tuple[str, str]:
    """Why no virtual machine holds such a pod, and what to do; empty where one does."""
    if accelerator is not None and unavailable(accelerator):
        return f"Azure has no {accelerator}", f"one of {', '.join(sorted(GPU_SIZES))}"
    if smallest(limits, accelerator) is not None:
        return "", ""
    most = largest(accelerator)
    devices = f"{most.devices} devices, " if accelerator is not None else ""
    message = f"no virtual machine of ours for AKS holds a pod with {limits['cpu']} CPUs and {limits['memory']}"
    return (
        message,
        f"the largest, {most.name}, has {devices}{most.cpus} CPUs and {most.memory} GiB, AKS's share included",
    )
