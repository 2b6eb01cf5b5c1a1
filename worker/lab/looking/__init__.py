"""`intake lab look`: what a method sees, as pictures: maps, clusters of the catalogue, nearest-neighbour sheets."""
