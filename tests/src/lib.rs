//! Support for the integration tests: starts the program and talks to it.
