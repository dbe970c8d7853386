"""Every way that a cache of compiled functions is known to go wrong, each as a small program that is run for real."""
