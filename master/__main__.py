"""``postjet``, and ``python -m master``, which is how the parent starts its children."""

import sys


def main() -> None:
    """Run a command; what lives long loads only what it needs."""
    words = sys.argv[1:]
    if (words[2:3] if words[:1] == ["--config"] else words[:1]) in (["up"], ["run"]):
        from master import run_command

        run_command.main()
    else:
        from master import cli

        cli.main()


if __name__ == "__main__":
    main()
