"""Models of different shapes: vocabularies brought into one space, neurons matched, layers paired."""
