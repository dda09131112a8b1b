"""One file per provider: submit, verify and parse its events. docs/adding-a-provider.md is the checklist."""
