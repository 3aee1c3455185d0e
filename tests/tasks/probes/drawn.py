"""Labelled tiles drawn for tests: stripes whose direction and colour tell the class."""

from __future__ import annotations

import csv
import io
import tarfile
import zipfile

import cv2
import numpy as np

CLASSES = ("gland", "mucus", "stroma")


def draw(label, seed, side=48):
    generator = np.random.default_rng(seed)
    down, across = np.mgrid[:side, :side]
    angle = label * np.pi / 3
    wave = np.sin((across * np.cos(angle) + down * np.sin(angle)) / 2 + generator.random() * 6)
    colour = np.array([150, 90, 160]) + 20 * np.eye(3)[label]
    noise = generator.normal(0, 12, (side, side, 3))
    return np.clip(colour + 40 * wave[..., None] + noise, 0, 255).astype(np.uint8)


def rows(cases=18, tiles=3):
    """Return (tile, label, case, split) of cases of three tiles."""
    found = []
    for case in range(cases):
        split = ("train", "val", "test")[(case // len(CLASSES)) % 3]
        label = CLASSES[case % len(CLASSES)]
        found += [
            (f"{label}/c{case:02d}-{i}.png", label, f"c{case:02d}", split) for i in range(tiles)
        ]
    return found


def encoded(row, side=48):
    index = int.from_bytes(row[0].encode()[-8:], "little") % 2**32
    picture = draw(CLASSES.index(row[1]), index, side)
    return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()


def write_folder(folder, side=48, found=None):
    for row in found or rows():
        path = folder / row[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(row, side))
    return folder


def write_zip(path):
    with zipfile.ZipFile(path, "w") as file:
        for row in rows():
            file.writestr(f"tiles/{row[0]}", encoded(row))
    return path


def write_tar(path):
    with tarfile.open(path, "w") as file:
        for row in rows():
            member = tarfile.TarInfo(f"tiles/{row[0]}")
            member.size = len(encoded(row))
            file.addfile(member, io.BytesIO(encoded(row)))
    return path


def write_table(path, found=None, columns=("tile", "label", "case", "split")):
    places = [("tile", "label", "case", "split").index(name) for name in columns]
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows([[row[i] for i in places] for row in found or rows()])
    return path
