"""What the programs beside this folder, and the tests of crashes and writers, are built from."""
