"""Train a recipe, as ``gigakit train`` does."""

from gigakit.cli.app import main

if __name__ == "__main__":
    main(["train"])
