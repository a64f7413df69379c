"""SASLprep (RFC 4013): user names and passwords in one form, however they were typed."""

import stringprep
import unicodedata

# RFC 4013 2.3; C.1.2 is left out: such blanks have become U+0020 by then (2.1).
_PROHIBITED = (
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def saslprep(text: str) -> str:
    """The prepared form. Raises ValueError where it has none, or would be empty."""
    # RFC 4013 2.1: what is commonly mapped to nothing goes, other blanks become U+0020.
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char for char in text if not stringprep.in_table_b1(char)
    )
    prepared = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    if not prepared:
        raise ValueError("it is empty")
    for char in prepared:
        if stringprep.in_table_a1(char) or any(prohibits(char) for prohibits in _PROHIBITED):
            raise ValueError("it has a character that SASLprep (RFC 4013) does not allow")
    # RFC 3454 section 6: with a right-to-left character there is no left-to-right one, and it begins and ends the text.
    if any(map(stringprep.in_table_d1, prepared)) and (
        any(map(stringprep.in_table_d2, prepared))
        or not stringprep.in_table_d1(prepared[0])
        or not stringprep.in_table_d1(prepared[-1])
    ):
        raise ValueError("it mixes right-to-left and left-to-right text")
    return prepared
