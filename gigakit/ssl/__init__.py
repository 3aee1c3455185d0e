"""Self-supervised objectives and the losses they are made of."""
