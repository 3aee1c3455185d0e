"""Shards written together."""

from __future__ import annotations

import torch

from gigakit.engine import processes, shards


def test_no_file_is_touched_once_the_ranks_have_told_their_checksums(tmp_path, monkeypatch):
    """The first rank moves the folder as soon as it knows that all parts are written."""
    folder, place = tmp_path / ".part", tmp_path / "step"

    def collect(told):
        folder.rename(place)
        return [told]

    monkeypatch.setattr(processes, "collect", collect)
    digests = shards.write_shards({"weight": torch.ones(3)}, folder)
    assert shards.INDEX in digests
    assert shards.find_shard_damage(place, digests) is None
