"""Limits at work: connections and rates, exact over every worker of the cluster."""
