"""meetsplit: who said what, even where people talk over each other, and a clean audio file per person."""

__version__ = "0.1.0"
