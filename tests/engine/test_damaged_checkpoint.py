"""Whatever happens to the bytes of the newest checkpoint: it is noticed, or does not matter."""

import random
import zipfile

import pytest
import torch
from resuming.comparison import differences

from gigakit.engine.checkpoint import find_resume, load_checkpoint, save_checkpoint

SEED = 5
# the comment that ends the archive
SEAL_BYTES = 89


def state(step):
    generator = torch.Generator().manual_seed(step)
    return {
        "state_dict": {
            "w": torch.randn(40, generator=generator),
            "b": torch.randn(7, generator=generator, dtype=torch.float64),
        },
        "meta": {"iter": step, "rates": [1, 2.5, "cosine"]},
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}},
    }


@pytest.fixture
def two(tmp_path):
    """Return a run's folder with two checkpoints, and the newer one's bytes."""
    save_checkpoint(state(1), tmp_path, 1)
    newest = save_checkpoint(state(2), tmp_path, 2)
    return tmp_path, newest, newest.read_bytes()


def content_after(work_dir, newest, data):
    newest.write_bytes(data)
    return load_checkpoint(find_resume(work_dir))


def test_a_file_cut_at_any_byte_is_noticed(two):
    work_dir, newest, whole = two
    for length in range(0, len(whole), 7):
        found = content_after(work_dir, newest, whole[:length])
        # the seal alone may be gone
        step = 1 if length < len(whole) - SEAL_BYTES else 2
        assert list(differences(state(step), found)) == [], f"cut after {length} bytes"


def test_a_flipped_bit_in_the_content_is_noticed(two):
    work_dir, newest, whole = two
    draw = random.Random(SEED)
    with zipfile.ZipFile(newest) as archive:
        # torch pads each record's header, so that its content is aligned
        ends = [(entry.filename, entry.file_size) for entry in archive.infolist()]
        contents = {name: archive.read(name) for name, _ in ends}
    for name, size in ends:
        start = whole.index(contents[name], whole.index(name.encode()) + len(name))
        for _ in range(min(20, size)):
            place, bit = start + draw.randrange(size), draw.randrange(8)
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            found = content_after(work_dir, newest, damaged)
            assert list(differences(state(1), found)) == [], f"bit {bit} of byte {place} ({name})"


def test_a_stretch_of_zeros_as_after_a_power_cut_is_noticed(two):
    work_dir, newest, whole = two
    with zipfile.ZipFile(newest) as archive:
        start = whole.index(archive.read(next(n for n in archive.namelist() if "data/0" in n)))
    found = content_after(work_dir, newest, whole[:start] + bytes(64) + whole[start + 64 :])
    assert list(differences(state(1), found)) == []


def test_a_flipped_bit_anywhere_is_noticed_or_does_not_matter(two):
    """Headers and the archive's directory included, where no record's checksum reaches."""
    work_dir, newest, whole = two
    draw = random.Random(SEED)
    with zipfile.ZipFile(newest) as archive:
        directory = range(archive.start_dir, len(whole))
    places = [*directory, *(draw.randrange(len(whole)) for _ in range(500))]
    for place in places:
        bit = draw.randrange(8)
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        found = content_after(work_dir, newest, damaged)
        same = any(list(differences(state(step), found)) == [] for step in (1, 2))
        assert same, f"bit {bit} of byte {place}"


def test_a_tensor_that_would_be_read_as_a_folder_is_noticed(two):
    """One bit of the file attributes; torch then returns memory it has not written to."""
    work_dir, newest, whole = two
    entry = whole.rindex(b"data/0") - len(whole[: whole.rindex(b"data/0")].split(b"PK\x01\x02")[-1])
    damaged = bytearray(whole)
    damaged[entry - 4 + 38] ^= 0x10
    assert list(differences(state(1), content_after(work_dir, newest, damaged))) == []


def test_the_seal_hides_nothing_from_torch(two):
    _, newest, _ = two
    for mapped in (False, True):
        found = torch.load(newest, weights_only=True, mmap=mapped)
        assert list(differences(state(2), found)) == []
