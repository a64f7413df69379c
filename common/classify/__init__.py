"""Classes: what kind of refusal a reply or report is, and whether the address is at fault."""
