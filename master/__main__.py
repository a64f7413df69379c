"""``python -m master`` is ``postjet``: how the parent starts its children."""

from master.cli import main

main()
