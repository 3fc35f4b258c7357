"""Pure array functions: `reference` is the definition, `cpu` the same in numba."""
