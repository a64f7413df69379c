"""``python -m master`` is ``postjet``: how the parent starts its children."""

import sys

words = sys.argv[1:]
if (words[2:3] if words[:1] == ["--config"] else words[:1]) == ["run"]:
    from master.run_command import main  # which is all that a role's process needs
else:
    from master.cli import main
main()
