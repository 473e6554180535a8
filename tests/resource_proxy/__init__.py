"""Tests of the resource proxy."""
