"""Where voices overlap: regions, streams per speaker, resegmentation, verification, duplicate words."""
