"""A cohort under faults: workers killed at random by pid, a full disk, a scheduler that restarts.

Builds small slides from the sample's pixels, among them damaged, empty and blank ones, and runs
``gigakit tile`` on them as a user would:

1. on a disk that is too small (a tmpfs, so this part needs the right to mount); made larger after;
2. with worker processes killed at random, and once the command itself;
3. on a dask cluster whose scheduler is killed and started again.

Each phase takes over what the earlier ones finished. Then every slide must have exactly one row,
with the state it was built for, every finished slide a whole file with the tiles it was built for,
and no file may have been written a second time (its inode must be the one first seen).

Usage:  python tools/bench/fault_run.py FOLDER [--slides 2000] [--kill-every 2.0] [--json FILE]
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile

from gigakit.wsi.sample import sample_path
from gigakit.wsi.slide import open_slide
from gigakit.wsi.status import read_status
from gigakit.wsi.tiles import TileTable

SIDE = 256
KINDS = {"tissue": "done", "white": "empty", "cut short": "failed", "no file": "failed"}
SETTINGS = [
    "--set", "preparation.tiler.tile_size_px=64", "--set", "preparation.segmenter.mask_mpp=2.0",
    "--set", "preparation.quality.0.mpp=1.0",
]  # fmt: skip


def kind_of(number: int) -> str:
    return {7: "white", 31: "cut short", 53: "no file"}.get(number % 100, "tissue")


def build(folder: Path, slides: int) -> Path:
    """Write slides and their manifest."""
    with open_slide(sample_path()) as sample:
        width, height = sample.level_dimensions[0]
        pixels = sample.read(0, 0, 0, width, height)
    generator = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "slides.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("slide_id", "path"))
        for number in range(slides):
            path = folder / f"slide-{number:05}.tif"
            writer.writerow((path.stem, path.name))
            if kind_of(number) == "no file" or path.exists():
                continue
            image = np.full((SIDE, SIDE, 3), 240, dtype=np.uint8)
            if kind_of(number) != "white":
                x = int(generator.integers(700, 1100))
                y = int(generator.integers(900, 2400))
                image[32:, 32:] = pixels[y : y + SIDE - 32, x : x + SIDE - 32]
            options = {"tile": (128, 128), "resolution": (20000, 20000), "resolutionunit": 3}
            tifffile.imwrite(path, image, photometric="rgb", compression="zlib", **options)
            if kind_of(number) == "cut short":
                path.write_bytes(path.read_bytes()[:3000])
    return folder / "slides.csv"


class Watch:
    """Notes each tile file when it first appears, and whether another one takes its place."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.seen: dict[str, int] = {}
        self.again: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.wait(0.2):
            self.look()

    def look(self) -> None:
        """Note what is there now."""
        for path in self.root.glob("tiles/*/*.h5"):
            with contextlib.suppress(FileNotFoundError):
                inode = path.stat().st_ino
                if self.seen.setdefault(path.stem, inode) != inode:
                    self.again.add(path.stem)

    def stop(self) -> None:
        """End the watch with a last look."""
        self._stop.set()
        self._thread.join()
        self.look()


def gigakit(manifest: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "gigakit", "tile", str(manifest), "--out", str(out)]
    return subprocess.Popen(
        [*command, *SETTINGS, *options], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def children(pid: int) -> list[int]:
    """Return the worker processes of a command (not Python's own resource tracker)."""
    found = subprocess.run(
        ["pgrep", "-P", str(pid), "-f", "spawn_main"], capture_output=True, text=True, check=False
    )
    return [int(line) for line in found.stdout.split()]


def last_line(process: subprocess.Popen[str]) -> str:
    """Return a command's own last word; dask logs on the same stream."""
    lines = process.communicate()[1].strip().splitlines()
    return ([line for line in lines if line.startswith("error:")] or lines or [""])[-1]


def full_disk(manifest: Path, out: Path, mib: float) -> dict[str, object]:
    """Run on a disk that is too small, then make it larger."""
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={round(mib * 1024)}k", "tmpfs", str(out)], check=True
    )
    run = gigakit(manifest, out, "--workers", "2")
    said = last_line(run)
    subprocess.run(["mount", "-o", "remount,size=4g", str(out)], check=True)
    return {"exit": run.returncode, "said": said.replace(str(out), "OUT")}


def killed_workers(manifest: Path, out: Path, every: float, until: int) -> dict[str, object]:
    """Kill worker processes at random until enough slides are done, then the command."""
    chance = random.Random(0)
    run = gigakit(manifest, out, "--workers", "2")
    killed = 0
    # stderr is drained, so that the command never waits for its reader
    drain = threading.Thread(target=lambda: collections.deque(run.stderr, maxlen=1), daemon=True)
    drain.start()
    while run.poll() is None and len(list(out.glob("tiles/*/*.h5"))) < until:
        time.sleep(every * chance.uniform(0.5, 1.5))
        workers = children(run.pid)
        if workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(workers), signal.SIGKILL)
                killed += 1
    run.kill()
    run.wait()
    return {"workers killed": killed, "command killed": True}


@contextlib.contextmanager
def dask_process(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def restarted_scheduler(manifest: Path, out: Path, until: int, port: int) -> dict[str, object]:
    """Kill a dask scheduler in the middle, start it again, and run the command again."""
    address = f"tcp://127.0.0.1:{port}"
    scheduler = ("dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    worker = ("dask_worker", address, "--nworkers", "2", "--nthreads", "1", "--no-dashboard")
    options = ("--executor", "dask", "--scheduler", address)
    told: dict[str, object] = {}
    with dask_process(*scheduler) as first, dask_process(*worker):
        run = gigakit(manifest, out, *options)
        while run.poll() is None and len(list(out.glob("tiles/*/*.h5"))) < until:
            time.sleep(0.2)
        first.kill()
        begin = time.perf_counter()
        told["said"] = last_line(run)
        told["exit"] = run.returncode
        told["seconds until it said so"] = round(time.perf_counter() - begin, 1)
    with dask_process(*scheduler), dask_process(*worker):
        run = gigakit(manifest, out, *options)
        told["again: said"] = last_line(run).replace(str(out), "OUT")
        told["again: exit"] = run.returncode
    return told


def verdict(out: Path, slides: int, watch: Watch) -> dict[str, object]:
    """Compare what is there with what was built."""
    (folder,) = out.glob("tiles/*")
    rows = read_status(folder)
    by_id = {row.slide_id: row for row in rows}
    wrong = []
    for number in range(slides):
        name, expected = f"slide-{number:05}", KINDS[kind_of(number)]
        row = by_id.get(name)
        state = "done" if row and row.state == "skipped" else row and row.state
        if state != expected:
            wrong.append(f"{name}: {state}, not {expected}: {row and row.reason}")
        elif state == "done" and len(TileTable.load(folder / f"{name}.h5")) != row.tiles:
            wrong.append(f"{name}: its file and its row differ")
    left = [p.name for p in folder.rglob("*") if p.name.endswith(".part") or ".leases" in p.parts]
    return {
        "rows": len(rows),
        "states": dict(collections.Counter(row.state for row in rows)),
        "lost or wrong": wrong,
        "written twice": sorted(watch.again),
        "left behind": left,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--slides", type=int, default=2000)
    parser.add_argument("--kill-every", type=float, default=2.0, help="seconds, on the mean")
    parser.add_argument("--port", type=int, default=8799)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    manifest = build(options.folder / "slides", options.slides)
    out = options.folder / "stores"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    report: dict[str, object] = {}
    mounted = False
    watch = Watch(out)
    try:
        try:
            # about a fifth of what the cohort needs
            report["full disk"] = full_disk(manifest, out, options.slides * 0.05 * 0.2)
            mounted = True
        except subprocess.CalledProcessError as error:
            report["full disk"] = f"not run: {error}"
        report["killed workers"] = killed_workers(
            manifest, out, options.kill_every, options.slides * 3 // 5
        )
        report["scheduler restart"] = restarted_scheduler(
            manifest, out, options.slides * 4 // 5, options.port
        )
        watch.stop()
        report["verdict"] = verdict(out, options.slides, watch)
    finally:
        if mounted:
            shutil.copytree(out, options.folder / "kept", dirs_exist_ok=True)
            subprocess.run(["umount", str(out)], check=True)
    text = json.dumps(report, indent=2)
    sys.stdout.write(text + "\n")
    if options.json:
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
