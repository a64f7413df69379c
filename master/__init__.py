"""Command line, and the parent that starts and watches the others."""
