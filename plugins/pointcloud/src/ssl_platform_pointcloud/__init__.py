"""Point clouds for ssl-platform: PLY, PCD, LAS, LAZ, NPY, XYZ and meshes."""
