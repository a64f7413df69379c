"""Controls: standing orders that hold back or end mail."""
