"""Schedules of the optimiser's settings, in optimiser steps."""
