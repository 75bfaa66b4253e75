"""What would be written to have a program that uses another package use this one: found by the suites under its name."""
