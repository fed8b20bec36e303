"""Files as inputs and outputs: reading, uploading, downloading, saving."""
