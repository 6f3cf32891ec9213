"""How meetsplit looks in a terminal: options, progress, tables."""
