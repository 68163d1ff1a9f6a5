"""How stations protect themselves, from HQ's side: documents, bindings, PINs, instructions."""
