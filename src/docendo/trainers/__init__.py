"""Who learns? One training loop; what it minimises are pure functions in `docendo.trainers.losses`."""
