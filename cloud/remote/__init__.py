"""What staff has charge points do: from a distance, by command."""
