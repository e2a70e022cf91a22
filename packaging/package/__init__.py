"""Packages of Vestibule: see ../README.md."""
