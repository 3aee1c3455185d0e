"""The benchmark's ways compute the same step."""

import copy
import sys

import pytest
import torch

from gigakit.core.heap import return_kept_blocks


@pytest.fixture
def bench(repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository / "tools" / "bench"))
    import tile_pretraining

    threads = torch.get_num_threads()
    yield tile_pretraining
    # what a benchmark sets for its process
    torch.set_num_threads(threads)
    return_kept_blocks()
    for name in (
        "tile_pretraining",
        "published_step",
        "measure",
        "short_attention",
        "embedding_memory",
    ):
        sys.modules.pop(name, None)


def test_the_published_way_and_gigakits_find_the_same_loss(bench):
    from published_step import PublishedStep

    model = bench.build("ti", 64, 0.0)
    batch = bench.random_batches(3, 64, 32, 2, count=1)[0]
    published = PublishedStep(copy.deepcopy(model), drop_path=0.0, lr=1e-3)
    model.teacher_temperature = 0.07
    found = sum(model(**batch, mode="loss").values()).item()
    assert published(batch) == pytest.approx(found, rel=1e-5)


def test_it_prints_a_ratio_beside_the_floor(bench, monkeypatch, capsys):
    small = ["--size", "ti", "--images", "2", "--prototypes", "64", "--side", "64"]
    small += ["--local-side", "32", "--local-crops", "2", "--turns", "1", "--threads", "1"]
    monkeypatch.setattr(sys, "argv", ["tile_pretraining.py", *small])
    bench.main()
    told = capsys.readouterr().out
    assert "the floor at this machine's float32 matmul rate" in told
    rows = [line for line in told.splitlines() if line.startswith("| gigakit")]
    assert len(rows) == 4
    assert torch.get_float32_matmul_precision() == "highest"


def test_only_products_count_as_products(bench):
    one = torch.ones(64, 64)
    assert bench.seconds_in_products(lambda: one.exp().sum()) == 0
    assert bench.seconds_in_products(lambda: one @ one) > 0


def test_attention_of_short_sequences_is_compared(bench, monkeypatch, capsys):
    import short_attention

    monkeypatch.setattr(short_attention, "SHAPES", ((2, 10),))
    monkeypatch.setattr(sys, "argv", ["short_attention.py", "--turns", "1"])
    short_attention.main()
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == ["| float32", "| float32, oneDNN", "| bfloat16"]
    assert torch.get_float32_matmul_precision() == "highest"


def test_ways_to_keep_memory_are_compared(bench, monkeypatch, capsys):
    import embedding_memory

    small = ["--turns", "1", "--threads", "1", "--size", "tiny", "--tiles", "2"]
    monkeypatch.setattr(sys, "argv", ["embedding_memory.py", *small])
    embedding_memory.main()
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[1:3] for row in rows] == [
        [precision, way]
        for precision in ("fp32", "bf16")
        for way in ("by glibc", "returned", "kept")
    ]
