"""The published methods: one file each. They never import one another."""
