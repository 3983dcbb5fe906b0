"""What every page shares: how it is rendered, its navigation, the signed-in user, moments in its address, error pages."""
