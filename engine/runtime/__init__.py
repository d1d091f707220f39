"""The machine: device, precision, allocator, threads, and the version of a worker."""
