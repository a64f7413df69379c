"""What happened: ClickHouse, recorder, what can be asked of it."""
