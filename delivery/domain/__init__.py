"""Pure rules. Only the standard library; time and ids come in as arguments."""
