"""Result sets: rendered, named, staged and published as a whole, with a manifest of whose they are."""
