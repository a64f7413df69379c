"""The fault campaign: mail of many kinds, faults at random moments, and a checker that trusts only the sinks."""
