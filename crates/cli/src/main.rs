//! The command `untether`.

fn main() {}
