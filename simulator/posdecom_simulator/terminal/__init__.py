"""One terminal implementation: lifecycle, guard, freeze, erase; pure but for the store, clock and chance handed in."""
