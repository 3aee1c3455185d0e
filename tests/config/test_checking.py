"""``config check``: everything wrong at once, each with its place and what was meant."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gigakit.config import check_config, load_config
from gigakit.config.recipes import recipes_folder

SHIPPED = sorted(p for p in recipes_folder().rglob("*.py") if "_base_" not in p.parts)


def _problems(path, overrides=()):
    return [str(problem) for problem in check_config(load_config(path, overrides))]


def test_the_shipped_recipes_are_there():
    assert recipes_folder() / "gigapath_slide.py" in SHIPPED


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(recipes_folder())))
def test_shipped_recipes_have_no_problem(path):
    assert _problems(path) == []


def test_a_good_config_has_no_problem(recipe):
    assert _problems(recipe) == []


def test_everything_wrong_is_told_at_once_in_the_files_order(write):
    path = write(
        """
        model = dict(type="MaskedAutoencoder", encoder=dict(type="LongNet", widthh=3),
                     decoder=dict(type="MaskedDecodr"))
        optim_wraper = dict()
        param_scheduler = [
            dict(type="CosinAnnealingLR"),
            dict(type="LinearLR", param_name="lr"),
        ]
        train_dataloader = dict(
            dataset=dict(type="SlideFeatures",
                         augmentations=[dict(type="FlipGrid", p="no"), dict(type="GridSinCos2d")]),
            sampler=dict(type="DefaultSampler", shuffel=True),
            batchsize=2,
            collate_fn=dict(type="default_colate"),
        )
        custom_hooks = [dict(type="EarlyStoppingHook"), dict(interval=3)]
        randomness = dict(sed=1)
        """
    )
    assert _problems(path) == [
        "recipe.py:1: model.encoder.widthh: LongNet has no argument 'widthh', "
        "did you mean 'width'?",
        "recipe.py:2: model.decoder.type: 'MaskedDecodr' is not a registered head, "
        "did you mean 'MaskedDecoder'?",
        "recipe.py:3: optim_wraper: unknown top-level key 'optim_wraper', "
        "did you mean 'optim_wrapper'?",
        "recipe.py:5: param_scheduler.0.type: 'CosinAnnealingLR' is not a registered schedule, "
        "did you mean 'CosineAnnealingLR'?",
        "recipe.py:6: param_scheduler.1.param_name: LinearLR has no argument 'param_name'",
        "recipe.py:10: train_dataloader.dataset.augmentations.0.p: FlipGrid.p is float, got 'no'",
        "recipe.py:10: train_dataloader.dataset.augmentations.1.type: 'GridSinCos2d' is a "
        "position, here belongs an augmentation",
        "recipe.py:11: train_dataloader.sampler.shuffel: DefaultSampler has no argument 'shuffel', "
        "did you mean 'shuffle'?",
        "recipe.py:12: train_dataloader.batchsize: train_dataloader has no key 'batchsize', "
        "did you mean 'batch_size'?",
        "recipe.py:13: train_dataloader.collate_fn.type: 'default_colate' is not a registered "
        "function, did you mean 'default_collate'?",
        "recipe.py:15: custom_hooks.0: EarlyStoppingHook needs the argument 'monitor'",
        "recipe.py:15: custom_hooks.1: a hook needs a type",
        "recipe.py:16: randomness.sed: randomness has no key 'sed', did you mean 'seed'?",
    ]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.mask_ratio=abc", "MaskedAutoencoder.mask_ratio is float, got 'abc'"),
        ("model.mask_ratio=True", "mask_ratio is float, got True"),
        ("model.encoder.depth=1.5", "LongNet.depth is int, got 1.5"),
        (
            "model.encoder.attention.type=FullAttention",
            "FullAttention has no argument 'dilation_ratios'",
        ),
        ("model={'type': 3}", "an objective needs a type, got 3"),
        ("custom_imports=5", "names nothing"),
        ("custom_imports={'imports': 3}", "names nothing"),
        (
            "optim_wrapper.constructor=DefaultOptimWraperConstructor",
            "optim_wrapper.constructor: 'DefaultOptimWraperConstructor' is not a registered "
            "optim-wrapper-constructor, did you mean 'DefaultOptimWrapperConstructor'?",
        ),
        ("runner_type=Runer", "did you mean 'Runner'"),
        ("optim_wrapper.optimizer.betas=0.9", "AdamW.betas is "),
        ("optim_wrapper.optimizer.type=SGD", "SGD has no argument 'betas'"),
        (
            "train_cfg={'_delete_': True, 'by_epoch': False}",
            "IterBasedTrainLoop needs the argument 'max_iters'",
        ),
        (
            "train_cfg={'by_epoch': True, 'max_iters': 3}",
            "EpochBasedTrainLoop has no argument 'max_iters'",
        ),
        ("val_evaluator={'metrics': [{'type': 'Masked'}]}", "'Masked' is not a registered metric"),
        ("val_evaluator={'type': 'MaskedReconstructon'}", "did you mean 'MaskedReconstruction'"),
        (
            "visualizer={'vis_backends': [{'type': 'TensorboardVisBacken'}]}",
            "not a registered vis-backend",
        ),
    ],
)
def test_values_and_types_are_checked_where_they_were_set(recipe, override, message):
    assert any(message in problem for problem in _problems(recipe, [override]))


def test_an_overrides_problem_names_the_override(recipe):
    (problem,) = _problems(recipe, ["model.encoder.depth=x"])
    assert problem.startswith("--set model.encoder.depth=x: model.encoder.depth: ")


def test_none_is_fine_where_the_annotation_or_default_allows_it(recipe):
    assert _problems(recipe, ["model.encoder.attention=null", "model.input_dim=null"]) == []


def test_full_paths_and_scopes_are_not_unknown(recipe):
    hook = "custom_hooks=[{'type': 'mmengine.EMAHook'}, {'type': 'some.package.Hook', 'x': 1}]"
    assert _problems(recipe, [hook]) == []


def test_choices_are_suggested(recipe):
    (problem,) = _problems(
        recipe, ["model.loss={'type': 'MaskedEmbeddingLoss', 'target': 'normalised'}"]
    )
    assert "did you mean 'normalized'?" in problem


SECTION = """
_base_ = "recipe.py"
sample = {{"_delete_": True, {0}}}
"""


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('"train_dataloader.dataset.views_per_slid": 2', "did you mean 'views_per_slide'"),
        ('"model.mask_ratio": "x"', "mask_ratio is float"),
        ('"custom_hooks.4.type": "x"', "no index of a list"),
    ],
)
def test_the_samples_section_is_checked(recipe, write, entry, message):
    path = write(SECTION.format(entry), "child.py")
    (problem,) = _problems(path)
    assert problem.startswith("child.py:2: sample")
    assert message in problem


def test_a_sections_entries_are_checked_together(recipe, write):
    key = "model.encoder.attention"
    entries = f'"{key}": {{"type": "FullAttention"}}, "{key}.backend": "math"'
    assert _problems(write(SECTION.format(entries), "child.py")) == []


@pytest.mark.parametrize(
    ("axis", "message"),
    [
        ('dict(key="model.mask_ratio", values=[0.5, 0.75])', None),
        ('dict(key="model.encoder.attention", cells=dict(a=dict(type="FullAttention")))', None),
        ('dict(key="model.mask_ration", values=[0.5])', "did you mean 'mask_ratio'"),
        (
            'dict(key="model.mask_ratio", values=[0.5, "x"])',
            "ablation.axis.values.1: model.mask_ratio:",
        ),
        (
            'dict(key="model.encoder.attention", cells=dict(a=dict(type="FullAttenton")))',
            "FullAttention",
        ),
        (
            'dict(key="model.encoder.attention", cells=dict(a=dict(type="FullAttention", r=1)))',
            "no argument 'r'",
        ),
        ('dict(key="model.encoder.attention", cells=dict(a=3))', "holds a dict"),
        ('dict(sets=dict(a={"model.mask_ratio": 0.5, "model.loss": {"type": "x"}}))', "'x' is not"),
        ('dict(sets=dict(a={"model.mask_ratio": 0.5, "cohort": "all"}, b={}))', None),
        (
            'dict(sets=dict(a={"model.mask_ration": 0.5}))',
            "ablation.axis.sets.a: MaskedAutoencoder has no argument",
        ),
        ("dict(sets=dict(a=3))", "is not a dict of dotted keys"),
        ("dict(sets={})", "sets is empty"),
        ('dict(key="model.mask_ratio", sets=dict(a={}))', "or it has sets"),
        ('dict(key="model.mask_ratio")', "either cells or values"),
        ("dict(values=[1])", "an axis has a key"),
        ('dict(key="model.mask_ratio", values=[])', "values is empty"),
        ('dict(key="model.mask_ratio", values=dict(a=1))', "not a list"),
        ('dict(key="model.mask_ratio", values=[0.5], label="x")', "an axis has no 'label'"),
        ("3", "an axis has a key"),
    ],
)
def test_axes_and_their_cells_are_checked(recipe, write, axis, message):
    problems = _problems(write(f"_base_ = 'recipe.py'\nablation = dict(axis={axis})", "child.py"))
    if message is None:
        assert problems == []
    else:
        (problem,) = problems
        assert problem.startswith("child.py:2: ablation.axis")
        assert message in problem


def test_custom_imports_add_components(recipe, write):
    write(
        """
        from gigakit.registry import ATTENTIONS

        @ATTENTIONS.register_module()
        class BandAttention:
            def __init__(self, *, band: int = 3): ...
        """,
        "attention/band.py",
    )
    text = """
    _base_ = "recipe.py"
    custom_imports = dict(imports=["attention/band.py"])
    model = dict(encoder=dict(attention=dict(_delete_=True, type="BandAttention", band=4)))
    """
    assert _problems(write(text, "child.py")) == []
    assert "BandAttention.band is int" in _problems(write(text.replace("4", "'4'"), "child.py"))[0]
    (missing,) = _problems(recipe, ["custom_imports=dict(imports=['nowhere.py'])"])
    assert "'nowhere.py' is neither a module nor a file here" in missing


def test_a_check_imports_nothing_heavy(recipe):
    code = (
        "import sys\n"
        "from gigakit.config import check_config, load_config\n"
        f"assert check_config(load_config({str(recipe)!r}, ['model.encoder.dropout=0'])) == []\n"
        "sys.exit(bool({'torch', 'mmengine', 'numpy', 'cv2'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
