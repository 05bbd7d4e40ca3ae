"""Engines that run the network, behind one protocol."""
