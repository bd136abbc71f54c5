"""What is deployed: manifests and charts against schemas and policy, and how it is installed."""
