"""Configs: find, read, override, check, compare and write them; nothing here imports torch."""

from gigakit.config.checking import Problem, all_problems, check_config, load_checked
from gigakit.config.comparing import ABSENT, Difference, diff_configs
from gigakit.config.loading import (
    LoadedConfig,
    apply_section,
    catalogue_of,
    load_config,
    uses_sample,
)
from gigakit.config.plugins import import_custom
from gigakit.config.recipes import ENCODERS, find_encoder, find_recipe, recipes
from gigakit.config.rerun import rerunnable_text
from gigakit.config.tree import Node, component_tree
from gigakit.config.weights_files import with_weights
from gigakit.config.writing import dump_config

__all__ = [
    "ABSENT",
    "ENCODERS",
    "Difference",
    "LoadedConfig",
    "Node",
    "Problem",
    "all_problems",
    "apply_section",
    "catalogue_of",
    "check_config",
    "component_tree",
    "diff_configs",
    "dump_config",
    "find_encoder",
    "find_recipe",
    "import_custom",
    "load_checked",
    "load_config",
    "recipes",
    "rerunnable_text",
    "uses_sample",
    "with_weights",
]
