"""What every role shares: configuration, formats, the queue, errors, logging. Imports no role."""
