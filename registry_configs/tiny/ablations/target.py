"""What is predicted? Embeddings as they are, normalised, or their direction. In small.

Paper   as ablations/target, with the network of tiny/slide.
Input   the sample slide.
Cost    seconds a cell.
Expect  that every cell runs; nothing is learned.
Run     gigakit ablate tiny/ablations/target
"""

_base_ = ["../slide.py"]

ablate = dict(axes=dict(target=None))
