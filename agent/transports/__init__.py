"""How calls come in. A transport decodes its envelope, asks the one method table, and sends back what it gets; no logic."""
