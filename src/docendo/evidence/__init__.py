"""Did it really get better? Arms beside the method, paired comparisons, one verdict by a fixed rule."""
