"""Measurements on ``/work/shared/corpora``, material that nobody here wrote: ``make corpora``."""
