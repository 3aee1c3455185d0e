"""Which positions? The wavelengths of sines and cosines, and whole cells against fractions. In
        small.

Paper   as ablations/position, with the network of tiny/slide.
Input   the sample slide.
Cost    seconds a cell.
Expect  that every cell runs; nothing is learned.
Run     gigakit ablate tiny/ablations/position
"""

_base_ = ["../slide.py"]

ablate = dict(axes=dict(wavelengths=None, whole_cells=None), mode="one-at-a-time")
