"""Access requests: who may see which, what an approval would do, and how long they wait."""
