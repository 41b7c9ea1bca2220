"""What a person sees in a terminal: lines, tables, warnings, and progress while work is done."""
