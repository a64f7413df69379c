"""Data that ships with Postjet, read by importlib.resources."""
