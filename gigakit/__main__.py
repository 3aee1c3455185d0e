"""``python -m gigakit``: the same as the ``gigakit`` command."""

from gigakit.cli.app import main

main()
