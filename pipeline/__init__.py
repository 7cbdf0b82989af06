"""The pure part: arrays and datasets in, arrays and datasets out."""
