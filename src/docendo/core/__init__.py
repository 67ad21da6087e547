"""The records and protocols that every part of Docendo speaks."""
