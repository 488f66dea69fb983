"""What the axes D, H, W of a body allow. Imports nothing: the declaration and the domain both read it."""

# Bodies are nearly symmetric left to right; small tilts are how patients lie. Other axes have a meaning.
SYMMETRIES = (
    "flip:W",
    "rotate:HW",
    "rotate:DH",
    "rotate:DW",
    "scale",
    "gain",
    "offset",
    "gamma",
    "blur",
    "noise",
    "cutout",
)
MOVES = ("rot90:HW", "flip:D", "flip:H", "shuffle")
TASKS = ("classification", "regression", "segmentation")
