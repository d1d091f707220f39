"""The machine: device, precision, allocator, threads, and which workers paint the same picture."""
