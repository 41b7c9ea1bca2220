"""The parts of the calibration benchmark: worlds whose truth is known, the rules that ship, and careless ones beside them."""
