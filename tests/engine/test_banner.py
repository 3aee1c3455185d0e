"""The banner: what it says, and that it fits a terminal."""

import pytest
import torch
from torch import nn

from gigakit.core.errors import BackendUnavailableError
from gigakit.engine.banner import attention_choices, fit
from gigakit.nn.attention import backends
from gigakit.nn.attention.dilated import DilatedAttention
from gigakit.nn.attention.full import FullAttention

OWN = [
    "recipe      tiny/slide",
    "start       resumed after step 20, from step-00000020.pth",
    "model       MaskedAutoencoder, 181,376 trained parameters",
    "run         work_dirs/a folder with a name that is long enough to be wider than a terminal/1",
    "look        tensorboard --logdir 'work_dirs/a folder with a name that is long enough/1'",
]
NOTES = [
    f"note        {number}: " + "some twelve words that a user should know " * 3
    for number in (1, 2)
]


@pytest.fixture
def no_flash(monkeypatch):
    real = backends.availability

    def refuse(name, *place, **options):
        return "no kernel" if name == "flash" else real(name, *place, **options)

    monkeypatch.setattr(backends, "availability", refuse)
    backends._automatic.cache_clear()
    yield
    backends._automatic.cache_clear()


@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize("notes", [0, 1, 2, 4, 12])
def test_a_banner_takes_ten_rows_of_a_terminal_at_most(width, notes):
    lines = [OWN[0], *(NOTES * 6)[:notes], *OWN[1:]]
    shown = fit(lines, width)
    assert sum(-(-len(row) // width) for row in shown) <= 10
    # what names the run is neither cut nor broken
    for line in OWN[3:]:
        assert line in shown
    assert all(line.split()[0] in [row.split()[0] for row in shown] for line in OWN)
    if notes <= 1:
        assert not any("…" in row for row in shown)
        assert " ".join(" ".join(shown).split()) == " ".join(" ".join(lines).split())


def test_what_is_cut_says_so_and_continues_under_the_text():
    shown = fit([OWN[0], *NOTES, *OWN[1:]], 80)
    assert any(row.endswith("…") for row in shown)
    roomy = fit([OWN[0], *NOTES], 80)
    assert len(roomy) > 3
    assert all(row.startswith((" " * 12, "note", "recipe")) for row in roomy)


def test_a_pipe_gets_whole_lines_and_ten_of_them():
    lines = [OWN[0], *NOTES, *OWN[1:]]
    assert fit(lines) == lines
    assert len(fit([OWN[0], *NOTES * 9, *OWN[1:]])) == 10


@pytest.mark.parametrize(
    ("attention", "expected"),
    [
        (DilatedAttention(), "DilatedAttention on flash (the first choice on cpu)"),
        (FullAttention(backend="sdpa"), "FullAttention on sdpa (named by the recipe)"),
    ],
)
def test_attention_is_named_with_its_backend_and_why(attention, expected):
    blocks = nn.ModuleList([nn.Sequential(attention), nn.Linear(2, 2), attention])
    assert attention_choices(blocks, torch.float32) == [expected]


@pytest.mark.usefixtures("no_flash")
def test_a_refused_preference_is_named_with_its_reason():
    model = nn.ModuleList([DilatedAttention(), FullAttention()])
    dilated, full = attention_choices(model, torch.bfloat16)
    assert dilated.startswith("DilatedAttention on math (flash refused: no kernel; sdpa refused: ")
    short = f"math up to {backends.SHORT} tokens"
    assert full == f"FullAttention on sdpa (flash refused: no kernel; {short})"
    out, _ = backends.attend(*torch.randn(3, 1, 4, 2, 8), need_lse=True)
    assert out.shape == (1, 4, 2, 8)


@pytest.mark.usefixtures("no_flash")
def test_a_named_backend_that_cannot_run_stops_before_the_first_step():
    with pytest.raises(BackendUnavailableError, match="'flash' cannot run: no kernel"):
        attention_choices(FullAttention(backend="flash"), torch.float32)


def test_a_run_says_its_batch_precision_and_peak(toy, tmp_path, capfd):
    from gigakit.engine.train import train

    changed = toy.config(
        train_cfg__max_steps=2,
        optim_wrapper__precision="bf16",
        optim_wrapper__accumulative_counts=2,
    )
    train(changed, work_dir=tmp_path / "a run", banner=["recipe      toy"])
    lines = dict(line.split(maxsplit=1) for line in capfd.readouterr().err.splitlines()[:6])
    assert lines["model"] == "ToyObjective, 132 trained parameters"
    assert lines["steps"] == "2 of 6 samples (3 × 2 accumulated), 5 epochs of 3"
    assert lines["device"].startswith("cpu, 1 thread, bf16, at most ")
    assert lines["look"] == f"tensorboard --logdir '{tmp_path}/a run'"
    assert "attention" not in lines
