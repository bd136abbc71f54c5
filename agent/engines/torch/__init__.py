"""The engine that ships: TorchScript and torch.export programs, on a CPU or a GPU."""
