"""What a mail that came back says: bytes in, values out, whatever the bytes are."""
