"""From the outbox to people: grace and match decide what is told to whom, send delivers it, targets and guard keep it safe."""
