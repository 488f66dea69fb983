"""Whole-slide images for ssl-platform: SVS, NDPI, MRXS, OME-TIFF, pyramidal TIFF and DICOM."""
