"""Agencies and their datasets, as data files; scopes, pages, proxy routes and checks all follow from them."""
