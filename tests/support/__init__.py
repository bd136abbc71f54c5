"""What tests share: processes, models, raw peers, a played cluster. It holds no test."""
