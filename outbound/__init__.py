"""Mail out: takes deliveries from the queue, signs, finds MX hosts, delivers."""
