"""Sessions nobody would write, against a model of what a server may say: ``make fuzz``."""
