"""The words that every part shares: errors, evidence, claims, randomness, access. Needs numpy and nothing of ours."""
