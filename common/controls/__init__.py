"""Controls: standing orders that hold mail back (pause) or end it (stop), in force in every worker."""
