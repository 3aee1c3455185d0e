"""Which devices torch finds, and which attention backends run on them."""

from __future__ import annotations

from pathlib import Path

from gigakit.cli.doctor_findings import PASS, WARN, Check, Finding

_GIB = 2**30
# what the driver of an NVIDIA device leaves on Linux
_DRIVER = Path("/proc/driver/nvidia/version")


def _devices() -> list[Finding]:
    import torch

    findings = [Finding("CPU", PASS, f"{torch.get_num_threads()} threads for torch")]
    if torch.backends.mps.is_available():
        findings.append(Finding("MPS", PASS, "Apple's GPU"))
    if not torch.cuda.is_available():
        return [*findings, _no_cuda(torch.version.cuda)]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = properties.total_memory / _GIB
        capability = f"compute capability {properties.major}.{properties.minor}"
        found = f"{properties.name}, {memory:.0f} GiB, {capability}, CUDA {torch.version.cuda}"
        findings.append(Finding(f"cuda:{index}", PASS, found))
    return findings


def _no_cuda(build: str | None) -> Finding:
    """Say why there is no CUDA: no driver, or a torch that was built without."""
    if _DRIVER.is_file() and build is None:
        return Finding(
            "CUDA", WARN, "there is a driver, but this torch is a CPU build",
            "pip install --force-reinstall torch, from an index with CUDA builds",
        )  # fmt: skip
    if _DRIVER.is_file():
        return Finding(
            "CUDA", WARN, f"there is a driver, but torch, built for CUDA {build}, finds no device",
            "compare nvidia-smi's CUDA version, and see CUDA_VISIBLE_DEVICES",
        )  # fmt: skip
    kind = f"torch is built for CUDA {build}" if build else "torch is a CPU build"
    return Finding(
        "CUDA", WARN, f"no NVIDIA driver here, {kind}: everything runs on the CPU",
        "nothing, for small cohorts and first steps; else use a machine with a GPU",
    )  # fmt: skip


def _attention() -> list[Finding]:
    import torch

    from gigakit.nn.attention.backends import BACKENDS, availability

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    findings = []
    for name in BACKENDS:
        reasons = {label: availability(name, device, kind) for label, kind in kinds.items()}
        runs = [label for label, reason in reasons.items() if reason is None]
        refused = "; ".join(sorted({reason for reason in reasons.values() if reason}))
        found = f"runs on {device.type} in {' and '.join(runs)}" if runs else "does not run"
        found += f"; {refused}" if refused else ""
        fix = "" if runs else "leave backend='auto', which takes another"
        findings.append(Finding(f"attention {name}", PASS if runs else WARN, found, fix))
    return findings


TORCH_CHECKS: tuple[Check, ...] = (_devices, _attention)
