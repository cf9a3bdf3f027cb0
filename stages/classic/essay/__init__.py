"""What an essay says of networks, as experiments: logic, features, and gradients by hand."""
