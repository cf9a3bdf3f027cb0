"""Images into data sets: arrays of bytes, all of one size, with their classes, parted into train and test."""
