"""What the report says of training across clients: who took part, who gains, and what it cost to send."""
