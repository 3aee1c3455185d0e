"""Slides split over processes: all that is computed is what one process computes."""

from __future__ import annotations

import functools
import random
from itertools import accumulate

import pytest
import torch
import torch.distributed as dist
from contracts.ranks import RANKS, four_processes
from torch.utils.checkpoint import checkpoint

from gigakit.core.errors import ConfigError
from gigakit.nn.attention.sequence_parallel import TokenSplit, own_part, sequence_parallel
from gigakit.nn.backbones.longnet import LongNet
from gigakit.nn.blocks import DropPath
from gigakit.registry import ATTENTIONS, OBJECTIVES


@pytest.fixture(scope="module")
def on_ranks():
    """Return a function that has four processes do the same work and returns their results."""
    with four_processes() as ask:
        yield ask


def random_case(seed, ranks):
    """Draw a configuration, the parts of each slide, and tensors."""
    draw = random.Random(seed)
    heads, slides = draw.randint(1, 7), draw.randint(1, 2)
    length = draw.randint(1, 70)
    branches = draw.randint(1, 3)
    config = {
        "type": "DilatedAttention",
        "segment_lengths": [draw.randint(1, length + 8) for _ in range(branches)],
        "dilation_ratios": [draw.randint(1, 6) for _ in range(branches)],
        "head_offsets": draw.choice(["block", "modulo", "none"]),
        "tail_padding": draw.choice(["zeros", "masked"]),
        "merge": draw.choice(["lse", "lse", "mean"]),
        "merge_gradient": draw.choice(["detached", "exact"]),
        "misaligned_segments": draw.choice(["compat", "fixed"]),
    }
    lengths = []
    for _ in range(slides):
        cuts = sorted(draw.randint(0, length) for _ in range(ranks - 1))
        lengths.append(tuple(b - a for a, b in zip([0, *cuts], [*cuts, length], strict=True)))
        length = draw.choice([length, draw.randint(0, length)])
    return config, lengths, tensors(seed, slides, sum(lengths[0]), heads, 4)


def tensors(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(4)]


def attend(groups, ranks, make, **arguments):
    """Return a process's part of each slide: the output and three gradients."""
    config, lengths, (q, k, v, g) = make(ranks=ranks, **arguments)
    group = groups[ranks]
    rank = dist.get_rank(group)
    bounds = [(0, *accumulate(parts)) for parts in lengths]
    longest = max(parts[rank] for parts in lengths)

    def part(x):
        found = x.new_full((len(x), longest, *x.shape[2:]), 3.0)
        for slide, (of, cut) in enumerate(zip(x, bounds, strict=True)):
            found[slide, : cut[rank + 1] - cut[rank]] = of[cut[rank] : cut[rank + 1]]
        return found

    inputs = [part(x).requires_grad_() for x in (q, k, v)]
    out = ATTENTIONS.build(config)(*inputs, split=TokenSplit(group, rank, tuple(lengths)))
    out.backward(part(g))
    return [
        [x[slide, : parts[rank]].detach() for slide, parts in enumerate(lengths)]
        for x in (out, *(x.grad for x in inputs))
    ]


def difference(found, config, lengths, inputs):
    """Return the largest difference between parts of slides and slides as a whole."""
    *qkv, g = inputs
    qkv = [x.requires_grad_() for x in qkv]
    longest = qkv[0].shape[1]
    totals = torch.tensor([sum(parts) for parts in lengths])
    padding = torch.arange(longest)[None] >= totals[:, None]
    out = ATTENTIONS.build(config)(*qkv, key_padding_mask=padding)
    out.backward(g)
    worst = 0.0
    for index, whole in enumerate((out, *(x.grad for x in qkv))):
        for slide, length in enumerate(totals.tolist()):
            together = torch.cat([parts[index][slide] for parts in found])
            assert len(together) == length
            worst = max([worst, *(together - whole[slide, :length]).abs().flatten().tolist()])
    return worst


def attend_all(groups, ranks, make, many):
    return [attend(groups, ranks, make, seed=seed) for seed in many]


@pytest.mark.parametrize("ranks", [2, 4])
def test_any_split_of_any_segments_is_one_process(on_ranks, ranks):
    many = range(60)
    found = on_ranks(attend_all, ranks=ranks, make=random_case, many=many)[:ranks]
    worst = {
        seed: difference([of_rank[seed] for of_rank in found], *random_case(seed, ranks))
        for seed in many
    }
    assert {seed: value for seed, value in worst.items() if value > 1e-10} == {}


def counted(groups, segments, ratios, length):
    """Return how many bytes a process sends in a forward of one slide in equal parts, by heads."""
    sent = []
    exchange = dist.all_to_all_single

    def counting(received, given, *sizes, **options):
        sent.append(given.nbytes)
        return exchange(received, given, *sizes, **options)

    config = {"type": "DilatedAttention", "segment_lengths": segments, "dilation_ratios": ratios}
    rank, lengths = dist.get_rank(), [(length // RANKS,) * RANKS]
    dist.all_to_all_single = counting
    try:
        x = torch.zeros(1, length // RANKS, 8, 2)
        ATTENTIONS.build(config)(x, x, x, split=TokenSplit(groups[4], rank, tuple(lengths)))
    finally:
        dist.all_to_all_single = exchange
    return sent


@pytest.mark.parametrize(
    ("segments", "ratios", "tokens_sent"),
    [
        ([32, 256], [1, 4], None),  # segments end where parts do: nothing is exchanged at all
        ([512], [4], [64, 64, 64, 64]),  # to the other process of a segment: a fourth of 256
        ([1024], [8], [96, 96, 96, 96]),  # to three others: an eighth of 256 each
        # the first lies on two processes, the second on two, the third on one: halves of 256 or 128
        ([384], [2], [128, 64 + 64, 128, 0]),
    ],
)
def test_only_picked_rows_travel_and_only_where_a_segment_needs_them(
    on_ranks, segments, ratios, tokens_sent
):
    found = on_ranks(counted, segments=segments, ratios=ratios, length=1024)
    keys_and_values = 2 * 8 * 2 * 4
    expected = [
        [] if tokens_sent is None else [n * keys_and_values] for n in tokens_sent or [0] * 4
    ]
    assert found == expected


def encoder(**changes):
    torch.manual_seed(3)
    given = {"input_dim": 6, "width": 32, "depth": 2, "heads": 16, "mlp_ratio": 2.0}
    model = LongNet(**{**given, "dropout": 0.0, "drop_path": 0.0, **changes}).double()
    for parameter in model.parameters():
        # published ones are not 0 and 1 either
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def slide(seed, length, slides=1):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(slides, length, 6, generator=generator, dtype=torch.float64)
    return features, torch.rand(slides, length, 2, generator=generator, dtype=torch.float64) * 60


def loss_of(model, how, features, grid):
    """Return a loss that every process computes alike, and what it is computed from."""
    found = getattr(model, how)(features, grid)
    found = torch.cat([x.flatten() for x in found]) if how == "all_layers" else found
    return found.sin().square().sum(), found


def encode(groups, ranks, how, pooling, length):
    group = groups[ranks]
    model = encoder(pooling=pooling)
    for block in model.encoder.layers:
        # blocks are computed again in the backward, where nothing says that slides are split
        block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)
    # processes of one group share a slide, groups have their own
    features, grid = slide(dist.get_rank() // ranks, length)
    with sequence_parallel(group):
        part = own_part(length)
        loss, found = loss_of(model, how, features[:, part], grid[:, part])
    loss.backward()
    gradients = {}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            # what DistributedDataParallel does
            dist.all_reduce(parameter.grad)
            gradients[name] = parameter.grad / RANKS
    return found.detach(), gradients


@pytest.mark.parametrize(
    ("ranks", "how", "pooling", "length"),
    [
        (4, "forward", "cls", 1100),
        (2, "forward", "mean", 1500),
        (4, "all_layers", "mean", 2047),
        (2, "all_layers", "cls", 3000),
        (4, "forward", "cls", 2),
    ],
)
def test_slide_embeddings_and_averaged_gradients_with_published_segments(
    on_ranks, ranks, how, pooling, length
):
    found = on_ranks(encode, ranks=ranks, how=how, pooling=pooling, length=length)
    model = encoder(pooling=pooling)
    groups = RANKS // ranks
    for group in range(groups):
        loss, expected = loss_of(model, how, *slide(group, length))
        (loss / groups).backward()
        for embedding, _ in found[group * ranks : (group + 1) * ranks]:
            assert (embedding - expected).abs().max() < 1e-10
    expected = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    for _, gradients in found:
        assert gradients.keys() == expected.keys()
        for name, gradient in gradients.items():
            scale = max(1.0, expected[name].abs().max().item())
            assert (gradient - expected[name]).abs().max() < 1e-10 * scale, name


def encode_batch(groups):
    """Return the tokens and embedding of two slides of unequal length, padded on each process."""
    model = encoder(pooling="mean")
    rank, (features, grid) = dist.get_rank(), slide(7, 1200, slides=2)
    held = [part_of(length, rank) for length in (1200, 701)]
    longest = max(part.stop - part.start for part in held)
    padded = [x.new_full((2, longest, x.shape[-1]), 5.0) for x in (features, grid)]
    for row, part in enumerate(held):
        for x, whole in zip(padded, (features, grid), strict=True):
            x[row, : part.stop - part.start] = whole[row, part]
    numbers = torch.tensor([part.stop - part.start for part in held])
    padding = torch.arange(longest)[None] >= numbers[:, None]
    with sequence_parallel(groups[4]), torch.no_grad():
        return model.tokens(*padded, padding_mask=padding), model(*padded, padding_mask=padding)


def part_of(length, rank):
    """Return uneven parts: the last process holds half, the third nothing."""
    cuts = [0, length // 5, length // 2, length // 2, length]
    return slice(cuts[rank], cuts[rank + 1])


def test_a_padded_batch_in_parts_is_its_slides(on_ranks):
    found = on_ranks(encode_batch)
    model = encoder(pooling="mean")
    features, grid = slide(7, 1200, slides=2)
    for row, length in enumerate((1200, 701)):
        x = features[row : row + 1, :length], grid[row : row + 1, :length]
        whole = model.tokens(*x)[0]
        for rank, (tokens, embedding) in enumerate(found):
            part = part_of(length, rank)
            held = tokens[row, 1 : 1 + part.stop - part.start]
            assert (tokens[row, 0] - whole[0]).abs().max() < 1e-10
            assert held.numel() == 0 or (held - whole[1:][part]).abs().max() < 1e-10
            assert (embedding[row] - model(*x)[0]).abs().max() < 1e-10


def wrapped(groups):
    """Return the gradients that DistributedDataParallel leaves: two groups, a slide each."""
    model = encoder(drop_path=0.5).train()
    parallel = torch.nn.parallel.DistributedDataParallel(model)
    torch.manual_seed(dist.get_rank())
    features, grid = slide(dist.get_rank() // 2, 1100)
    with sequence_parallel(groups[2]):
        part = own_part(1100)
        embedding = parallel(features[:, part], grid[:, part])
    embedding.square().sum().backward()
    kept = DropPath(0.5).train()
    with_split = TokenSplit(groups[4], dist.get_rank(), ((1,) * 4,))
    return {
        "embedding": embedding.detach(),
        "gradients": [x.grad for x in model.parameters()],
        "kept": kept(torch.ones(64, 1, 1), with_split),
    }


def test_data_parallel_wrappers_and_drop_path_go_together_with_it(on_ranks):
    found = on_ranks(wrapped)
    assert all(x is not None for x in found[0]["gradients"])
    for rank, of_rank in enumerate(found):
        # random as they are, all processes of a slide drop the same branches
        assert torch.equal(of_rank["embedding"], found[rank // 2 * 2]["embedding"])
        assert torch.equal(of_rank["kept"], found[0]["kept"])
        for gradient, first in zip(of_rank["gradients"], found[0]["gradients"], strict=True):
            assert torch.equal(gradient, first)
    assert 0 < found[0]["kept"].count_nonzero() < 64


def autoencoder(target="normalized"):
    torch.manual_seed(5)
    attention = {
        "type": "DilatedAttention", "segment_lengths": [40, 130], "dilation_ratios": [1, 3],
    }  # fmt: skip
    shape = {"width": 16, "depth": 1, "heads": 4, "attention": attention}
    model = OBJECTIVES.build(
        {
            "type": "MaskedAutoencoder",
            "encoder": {"type": "LongNet", "dropout": 0.0, "drop_path": 0.0, **shape},
            "decoder": {"type": "MaskedDecoder", **shape},
            "loss": {"type": "MaskedEmbeddingLoss", "target": target},
            "input_dim": 6,
        }
    )
    return model.double()


def batch(lengths=(150, 77)):
    features, grid = slide(11, max(lengths), slides=len(lengths))
    padding = torch.arange(max(lengths))[None] >= torch.tensor(lengths)[:, None]
    seed = torch.tensor([3, 4])
    return {"features": features, "grid": grid, "padding_mask": padding, "seed": seed}


def pretrain(groups):
    """Return losses, gradients and predictions of a masked autoencoder on parts of two slides."""
    model, given = autoencoder(), batch()
    mine = {"seed": given.pop("seed")}
    with sequence_parallel(groups[4]):
        part = own_part(150)
        mine |= {name: x[:, part] for name, x in given.items()}
        loss = model(**mine, mode="loss")["loss"]
        with torch.no_grad():
            predictions = model(**mine)
            predicted = [x["prediction"] for x in autoencoder("raw")(**mine, mode="predict")]
            try:
                model(**mine, mode="predict")
            except ConfigError as error:
                refusal = str(error)
    loss.backward()
    gradients = []
    for parameter in model.parameters():
        dist.all_reduce(parameter.grad)
        gradients.append(parameter.grad / RANKS)
    return loss.item(), gradients, predictions, predicted, refusal


def test_the_masked_autoencoder_hides_and_predicts_the_same_tiles(on_ranks):
    found = on_ranks(pretrain)
    model, given = autoencoder(), batch()
    loss = model(**given, mode="loss")["loss"]
    loss.backward()
    assert sum(value for value, *_ in found) / RANKS == pytest.approx(loss.item(), abs=1e-6)
    for _, gradients, *_ in found:
        for gradient, parameter in zip(gradients, model.parameters(), strict=True):
            # the loss itself is a float32
            assert (gradient - parameter.grad).abs().max() < 1e-6
    together = torch.cat([predictions for _, _, predictions, *_ in found], dim=1)
    real = ~given["padding_mask"]
    assert (together - model(**given))[real].abs().max() < 1e-10
    raw = autoencoder("raw")(**given, mode="predict")
    for row, whole in enumerate(raw):
        parts = torch.cat([predicted[row] for *_, predicted, _ in found])
        assert (parts - whole["prediction"]).abs().max() < 1e-10
    assert all("need whole slides" in refusal for *_, refusal in found)


def refused(groups):
    messages = []
    model = encoder(attention={"type": "FullAttention"})
    features, grid = slide(0, 8, slides=1 + dist.get_rank() % 2)
    with sequence_parallel(groups[4]):
        for x in ((features, grid), (features[:1], grid[:1])):
            try:
                model(*x)
            except ConfigError as error:
                messages.append(str(error))
    split = TokenSplit(groups[4], dist.get_rank(), ((3, 3, 3, 3),))
    q = torch.zeros(1, 2, 4, 8)
    try:
        ATTENTIONS.build({"type": "DilatedAttention"})(q, q, q, split=split)
    except ConfigError as error:
        messages.append(str(error))
    return messages


def test_what_cannot_work_is_refused_on_all_processes(on_ranks):
    for batches, variant, tokens in on_ranks(refused):
        assert "batches of [1, 2, 1, 2] slides" in batches
        assert "FullAttention needs whole slides" in variant
        assert "1 slides of 2 tokens, where the split has 1 of up to 3" in tokens


def test_alone_there_is_nothing_to_split():
    assert own_part(10) == slice(0, 10)
    with pytest.raises(ConfigError, match="no process group is started"), sequence_parallel():
        pass
