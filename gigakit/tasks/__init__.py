"""Tasks around the encoders: preparing features, evaluating, drawing."""
