"""How scaler speaks: text for people, a versioned envelope for programs."""
