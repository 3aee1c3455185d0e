"""Test a trained slide-level model, as ``gigakit test`` does."""

from gigakit.cli.app import main

if __name__ == "__main__":
    main(["test"])
