"""A world on loopback: DNS server, MX sinks, load generator; serves demo, tests and bench."""
