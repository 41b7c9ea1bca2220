"""What the report says of fairness: how far groups lie apart, on what it rests, and what it cannot say."""
